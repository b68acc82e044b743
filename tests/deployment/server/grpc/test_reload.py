"""The answer to `HandleReloadConfigRequest`, called directly."""

from typing import Any

import grpc
import pytest

from tfchain.deployment.server.grpc.reload import answer_reload
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Registry
from tfchain.deployment.server.status import Code, StatusError


class Context:
    """Notes the status of the call."""

    def __init__(self) -> None:
        self.code: Any = None
        self.details = ""

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details


def make_request() -> Any:
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest(metric_names=["/a/metric"])
    request.config.model_config_list.config.add(name="m")
    return request


def test_the_configuration_and_the_deadline_are_handed_on() -> None:
    seen: list[Any] = []
    context: Any = Context()
    request = make_request()
    response = answer_reload(lambda *given: seen.append(given), request, context, 2.5, Registry)
    assert seen == [(request.config, 2.5)]
    assert (response.status.error_code, response.status.error_message, len(response.metric)) == (0, "", 0)
    assert context.code is None


def test_the_answer_says_how_far_a_counter_has_increased() -> None:
    registry, context = Registry(), Context()
    loads = registry.add(Counter(":a:metric", "Loads.", ("path",)))
    registry.add(Gauge(":a:gauge", "Not a counter."))
    loads.labels("/a").add(3)

    def reload(*_: Any) -> None:
        loads.labels("/a").add()
        loads.labels("/b").add()

    request = make_request()
    request.metric_names.extend(["none", ":a:gauge"])
    response = answer_reload(reload, request, context, None, lambda: registry)  # type: ignore[arg-type]
    assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [("/a/metric", 2)]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StatusError(Code.FAILED_PRECONDITION, "no"), grpc.StatusCode.FAILED_PRECONDITION, "no"),
        (ZeroDivisionError("oh"), grpc.StatusCode.INTERNAL, "ZeroDivisionError: oh"),
    ],
)
def test_an_error_is_the_status_of_the_call_and_in_the_answer(error: Exception, code: Any, text: str) -> None:
    def reload(*_: Any) -> None:
        raise error

    context: Any = Context()
    response = answer_reload(reload, make_request(), context, None, Registry)
    assert (context.code, context.details) == (code, text)
    assert (response.status.error_code, response.status.error_message) == (code.value[0], text)


def test_a_long_text_is_cut_in_the_call_alone() -> None:
    def reload(*_: Any) -> None:
        raise StatusError(Code.UNKNOWN, "x" * 2000)

    context: Any = Context()
    response = answer_reload(reload, make_request(), context, None, Registry)
    assert context.details == "x" * 1024 + "...TRUNCATED"
    assert response.status.error_message == "x" * 2000
