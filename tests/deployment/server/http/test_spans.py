"""The attributes of an HTTP request's span, by OpenTelemetry's semantic conventions."""

from collections.abc import Mapping

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tfchain.deployment.server.http.rest import Answer, find_route
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.http.spans import TracedApi, describe_request
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.tracing import RequestTracer


@pytest.mark.parametrize(
    ("method", "target", "route"),
    [
        ("POST", "/v1/models/a%20b:predict", "/v1/models/{model}:predict"),
        ("POST", "/V1/models/m/versions/3:Classify", "/v1/models/{model}/versions/{version}:classify"),
        ("POST", "/v1/models/m/labels/stable:regress", "/v1/models/{model}/labels/{label}:regress"),
        ("GET", "/v1/models/m", "/v1/models/{model}"),
        ("GET", "/v1/models/m/versions/3/metadata", "/v1/models/{model}/versions/{version}/metadata"),
        ("GET", "/v1/models/m:predict", ""),
        ("PUT", "/v1/models/m", ""),
        ("GET", "/nowhere", ""),
    ],
)
def test_a_route_has_names_in_place_of_what_varies(method: str, target: str, route: str) -> None:
    assert find_route(method, target) == route


def test_the_tables_endpoints_are_named_but_for_those_that_machines_ask_all_the_time() -> None:
    router = Router(lambda *_: Answer(404, (), b""))
    router.add("POST", "/embed", lambda _: Answer(200, (), b""))
    router.add("GET", "/health", lambda _: Answer(200, (), b""), is_light=True)
    asked = (("POST", "/embed?model=m"), ("GET", "/embed"), ("GET", "/health"), ("GET", "/nowhere"))
    assert [router.find_route(*each) for each in asked] == ["/embed", "/embed", None, ""]


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("docs.example:8501", {"server.address": "docs.example", "server.port": 8501}),
        ("[::1]:8501", {"server.address": "::1", "server.port": 8501}),
        ("docs.example", {"server.address": "docs.example"}),
        ("", {}),
    ],
)
def test_what_is_known_before_the_answer(host: str, server: dict[str, str | int]) -> None:
    headers = {"host": host, "user-agent": "curl/8", "authorization": "Bearer secret"}
    assert describe_request("POST", "/info?model=m", headers, "/info", "https") == {
        "http.request.method": "POST",
        "http.route": "/info",
        "url.path": "/info",
        "url.query": "model=m",
        "url.scheme": "https",
        "user_agent.original": "curl/8",
        **server,
    }


def test_a_method_that_is_none_is_named_apart() -> None:
    found = describe_request("BREW", "/", {}, "", "http")
    assert (found["http.request.method"], found["http.request.method_original"]) == ("_OTHER", "BREW")


@pytest.mark.parametrize(
    ("method", "route", "status", "name", "outcome"),
    [
        ("POST", "/embed", 200, "POST /embed", StatusCode.UNSET),
        ("POST", "/embed", 429, "POST /embed", StatusCode.UNSET),  # the client's fault, by the conventions
        ("GET", "", 404, "GET", StatusCode.UNSET),
        ("BREW", "", 503, "HTTP", StatusCode.ERROR),
    ],
)
def test_a_span_has_the_answers_status(method: str, route: str, status: int, name: str, outcome: StatusCode) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def handle(method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Answer:
        return Answer(status, (), body)

    api = TracedApi(handle, RequestTracer(provider), lambda *_: route, scheme="http")
    assert api.answer(method, "/x", {}, b"body", Deadline(None)).body == b"body"
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == (name, SpanKind.SERVER, outcome)
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == (str(status) if status >= 500 else None)
