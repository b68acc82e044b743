"""The endpoints that watch a server, without the server."""

import json
from collections.abc import Mapping

import pytest

from tfchain.deployment.server.http.monitoring import Readiness, add_monitoring
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.metrics.registry import Counter, Registry
from tfchain.deployment.server.servables.deadline import Deadline


def not_found(method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline | None) -> Answer:
    return Answer(404, (), b"")


@pytest.mark.parametrize(
    ("models", "is_stopping", "status", "state"),
    [
        ({"a": True, "b": True}, False, 200, "ready"),
        ({"a": True, "b": False}, False, 503, "loading"),
        ({"a": True}, True, 503, "stopping"),
        ({}, False, 200, "ready"),
    ],
)
def test_a_server_is_ready_when_all_models_answer_until_it_stops(
    models: dict[str, bool], is_stopping: bool, status: int, state: str
) -> None:
    router = Router(not_found)
    add_monitoring(router, Registry(), readiness=lambda: Readiness(models, is_stopping))
    answer = router.answer("GET", "/ready", {}, b"")
    assert (answer.status, json.loads(answer.body)) == (status, {"status": state, "models": models})
    assert router.answer("GET", "/live", {}, b"").status == 200


def test_the_stock_page_takes_precedence_at_the_path_of_ours() -> None:
    router, registry = Router(not_found), Registry()
    registry.add(Counter("c", "a counter")).labels().add()
    add_monitoring(router, registry, readiness=lambda: Readiness({}), prometheus_path="/metrics")
    for method in ("GET", "POST"):
        answer = router.answer(method, "/metrics", {}, b"")
        assert (answer.body, answer.headers) == (b"# TYPE c counter\nc{} 1\n", (("Content-Type", "text/plain"),))
    assert router.answer("GET", "/monitoring/prometheus/metrics", {}, b"").status == 404
