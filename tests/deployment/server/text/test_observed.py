"""A server whose answers are observed: every endpoint of texts, over both protocols, with the version's own tokens."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tests.deployment.server.observing.test_watch import Memory
from tfchain import NeuralSearchChain
from tfchain.core.observation import AddGauge, FindVersion, Observation
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.observing.options import ObservingOptions
from tfchain.deployment.server.options import ServerOptions
from tfchain.monitoring.dashboards.alerts import make_alerts
from tfchain.monitoring.dashboards.panels import ROWS
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions

# Set by `tfchain monitor drift` and `canary`, wherever they run.
WATCHERS = ("tfchain_drift", "tfchain_drift_ratio", "tfchain_canary_recall", "tfchain_canary_latency_ms")


@dataclass
class Watched:
    """A server, and what its monitor was told."""

    wire: Wire
    memory: Memory
    find_version: FindVersion

    def take(self, number: int) -> list[Observation]:
        """Waits for some observations, and forgets them."""
        end = time.monotonic() + 20
        while len(self.memory.observations) < number and time.monotonic() < end:
            time.sleep(0.005)
        taken = list(self.memory.observations)
        self.memory.observations.clear()
        return taken

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        reply = self.wire.http("POST", path, json.dumps(body).encode(), headers)
        assert reply.status == 200, reply.text
        return json.loads(reply.text)


@pytest.fixture(scope="module")
def watched(docs_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    log_path = tmp_path_factory.mktemp("log")
    memory = Memory()
    finders: list[FindVersion] = []

    def make_monitor(add_gauge: AddGauge, find_version: FindVersion) -> Memory:
        finders.append(find_version)
        for name in WATCHERS:
            add_gauge(name, "What those who watch set.")(1)
        QueryLog(QueryLogOptions(log_path), mask=lambda text: text, add_gauge=add_gauge)  # for its gauges
        return memory

    options = ServerOptions(
        "docs",
        docs_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        has_warmup=False,
        observing=ObservingOptions(make_monitor),
    )
    with ModelServer(options) as server:
        server.start()
        yield Watched(Wire(server), memory, finders[0])
    assert memory.is_closed


def test_a_monitor_finds_the_version_and_its_vectors_of_queries(
    watched: Watched, docs_path: Path, prompted_chain: NeuralSearchChain
) -> None:
    found = watched.find_version("docs", 1)
    assert found is not None
    assert found.embed is not None
    assert found.path == docs_path / "1"
    expected = prompted_chain.encode_query(["cat ☃", "dog"])  # with the prompt for queries
    np.testing.assert_allclose(found.embed(["cat ☃", "dog"]), expected, atol=1e-5)


def test_a_search_is_observed_and_its_results_name_their_query(
    watched: Watched, prompted_chain: NeuralSearchChain
) -> None:
    ubi = {"query_id": "mine", "client_id": "browser", "application": "page", "query_attributes": {"page": 1}}
    answer = watched.post("/v1/search", {"query": "cat ☃", "top_k": 2, "ubi": ubi})
    (found,) = watched.take(1)
    (result,) = answer["results"]
    assert (result["query_id"], found.query_id, found.client_id) == ("mine", "mine", "browser")
    assert (found.task, found.text, found.model, found.version) == ("search", "cat ☃", "docs", 1)
    assert list(found.ids) == [hit["id"] for hit in result["hits"]]
    assert list(found.scores) == [hit["score"] for hit in result["hits"]]
    assert found.attributes == {"top_k": 2, "page": 1, "application": "page", "purpose": "query"}
    tokenizer = prompted_chain.text_encoder.tokenizer
    ids = list(tokenizer(["who cat ☃"])[0])  # with the prompt for queries
    assert found.num_tokens == len(ids)
    assert found.num_unknown_tokens == ids.count(tokenizer.tokenizer.unk_token_id) > 0
    document = json.loads(watched.wire.http("GET", "/openapi.json").text)
    schema = {**document["components"]["schemas"]["SearchAnswer"], "components": document["components"]}
    jsonschema.validate(answer, schema)


@pytest.mark.parametrize(
    ("ubi", "message"),
    [
        ({"user": "u"}, "`ubi` has an unknown field. Received: 'user'."),
        ({"client_id": "x" * 101}, "`ubi.client_id` must have at most 100 characters. Received: 101."),
        ({"query_attributes": 3}, "`ubi.query_attributes` must be an object."),
    ],
)
def test_what_a_client_says_wrongly_of_itself_is_named(watched: Watched, ubi: Any, message: str) -> None:
    reply = watched.wire.http("POST", "/v1/search", json.dumps({"query": "cat", "ubi": ubi}).encode())
    assert reply.status == 400
    assert json.loads(reply.text)["error"]["message"].startswith(message)


def test_predict_with_texts_is_observed_over_both_protocols(watched: Watched) -> None:
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    watched.post("/v1/models/docs:predict", {"instances": ["cat", "dog"]}, {"X-Query-Id": "rest", "X-Client-Id": "c"})
    first, second = watched.take(2)
    assert (first.text, first.query_id, first.client_id, second.text, second.query_id) == (
        *("cat", "rest.0", "c"),
        *("dog", "rest.1"),
    )
    assert len(first.ids) == len(first.scores) == 3
    assert first.num_tokens is not None
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "docs", "embed_query"
    request.inputs["text"].dtype = 7
    request.inputs["text"].tensor_shape.dim.add().size = 1
    request.inputs["text"].string_val.append(b"a dog")
    with grpc.insecure_channel(watched.wire.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(request, metadata=[("x-query-id", "grpc")])
    (found,) = watched.take(1)
    assert (found.task, found.query_id, found.text, found.attributes) == (
        "embed",
        "grpc",
        "a dog",
        {"purpose": "query"},
    )
    assert found.embedding is not None


def test_embeddings_are_observed_with_their_vectors_and_token_ids_are_not(watched: Watched) -> None:
    answer = watched.post("/v1/embeddings", {"input": ["cat"], "dimensions": 4, "input_type": "document"})
    (found,) = watched.take(1)
    assert (found.task, found.attributes) == ("embed", {"purpose": "document"})
    assert found.embedding is not None
    cut = found.embedding[:4] / np.linalg.norm(found.embedding[:4])
    np.testing.assert_allclose(answer["data"][0]["embedding"], cut, atol=1e-6)
    watched.post("/v1/embeddings", {"input": [[2, 3]]})
    watched.post("/embed", {"inputs": "dog"})
    assert [one.text for one in watched.take(1)] == ["dog"]


def test_feedback_reaches_the_monitor_and_the_metrics(watched: Watched) -> None:
    assert watched.post("/v1/feedback", {"action_name": "click", "query_id": "mine"}) == {"taken": 1}
    watched.post("/v1/search", {"query": "cat"})
    watched.take(1)  # the event was before it
    assert [event.query_id for event in watched.memory.events] == ["mine"]
    text = watched.wire.http("GET", "/metrics").text
    assert 'tfchain_feedback_total{action="click"} 1\n' in text
    assert "tfchain_canary_recall{} 1\n" in text
    assert 'tfchain_best_score_count{model="docs",version="1",task="search"}' in text


def test_a_server_exports_every_metric_that_dashboard_and_alerts_ask_for(watched: Watched) -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", watched.wire.http("GET", "/metrics").text, re.MULTILINE))
    known = set(kinds)
    for name, kind in kinds.items():
        if kind == "histogram":
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    queries = [query for row in ROWS for panel in row.panels for query, _ in panel.queries]
    queries += [alert.expression for alert in make_alerts()]
    asked = set(re.findall(r"(?<![\w:]):tensorflow[\w:]+|tfchain_\w+|process_\w+", " ".join(queries)))
    assert len(asked) > 20
    assert asked <= known


def test_a_server_that_nobody_observes_takes_no_feedback_and_names_no_query(docs_wire: Wire) -> None:
    reply = docs_wire.http("POST", "/v1/search", json.dumps({"query": "cat", "ubi": {"query_id": "q"}}).encode())
    assert "query_id" not in json.loads(reply.text)["results"][0]
    assert docs_wire.http("POST", "/v1/feedback", b"{}").status in (400, 404)
    assert "tfchain_best_score" not in docs_wire.http("GET", "/metrics").text
