"""Traces of a whole server: requests of both protocols, their parents and their stages; and how tracing starts."""

import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.conformance.conftest import Wire
from tests.native_version import NativeVersion
from tfchain.chains.model_server import PROGRAM, find_obstacle, load
from tfchain.core.errors import InputError
from tfchain.core.native import NativeEngine
from tfchain.deployment.deploy import deploy
from tfchain.deployment.deployed_ports import DeployedPorts
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.tracing import SERVICE_NAME, RequestTracer, _choose_arguments, start_tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
PATH = "/v1/models/docs:predict"
BODY = b'{"instances": ["a dog"]}'
STAGES = ["tokenize", "encode", "search"]


class Spans(SpanExporter):
    """What a server has exported, in the order of the spans' ends."""

    def __init__(self) -> None:
        self.ended: Queue[ReadableSpan] = Queue()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self.ended.put(span)
        return SpanExportResult.SUCCESS

    def take_request(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """Returns the next request's span and its children, which end before it."""
        children = []
        while (span := self.ended.get(timeout=30)).kind is not SpanKind.SERVER:
            children.append(span)
        return span, children


@pytest.fixture(scope="module")
def spans() -> Spans:
    return Spans()


@pytest.fixture(scope="module")
def wire(native_version: NativeVersion, spans: Spans) -> Iterator[Wire]:
    """A server with native answers that traces only the requests whose parents are sampled."""
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0)))
    provider.add_span_processor(SimpleSpanProcessor(spans))
    options = ServerOptions(
        "docs",
        native_version.path.parent,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        has_warmup=False,
        load=LoadOptions(engine="native"),
        native=NativeEngine(find_obstacle, load),
        tracer=RequestTracer(provider),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


def check_stages(span: ReadableSpan, children: list[ReadableSpan], names: list[str]) -> None:
    """The children have their names, the span as parent, and times one after the other within its own."""
    assert [child.name for child in children] == names
    assert {child.parent.span_id for child in children} == {span.context.span_id}
    times = [time for child in children for time in (child.start_time, child.end_time)]
    assert times == sorted(times)
    slack = 1_000_000  # ns, of two clocks
    assert span.start_time - slack <= times[0]
    assert times[-1] <= span.end_time + slack


def test_a_rest_request_has_a_span_with_its_parent_and_its_stages(wire: Wire, spans: Spans) -> None:
    assert wire.http("POST", PATH, BODY, SAMPLED).status == 200
    span, children = spans.take_request()
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.name == "POST /v1/models/{model}:predict"
    assert {name: span.attributes[name] for name in span.attributes if not name.startswith("server.")} == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{model}:predict",
        "http.response.status_code": 200,
        "url.path": PATH,
        "url.scheme": "http",
        "tfchain.model_name": "docs",
        "tfchain.model_version": 1,
    }
    check_stages(span, children, STAGES)


def test_an_endpoint_of_the_table_is_named_by_its_path(wire: Wire, spans: Spans) -> None:
    reply = wire.http("POST", "/v1/embeddings", b'{"input": "a dog"}', SAMPLED)
    assert reply.status == 200
    span, children = spans.take_request()
    assert span.name == "POST /v1/embeddings"
    check_stages(span, children, ["tokenize", "encode", "tokenize"])  # the last one counts the tokens


def test_a_grpc_call_has_a_span_with_its_parent_and_its_stages(wire: Wire, spans: Spans) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "docs"
    request.inputs["text"].dtype = 7
    request.inputs["text"].tensor_shape.dim.add().size = 1
    request.inputs["text"].string_val.append(b"a dog")
    with grpc.insecure_channel(wire.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(request, timeout=30, metadata=list(SAMPLED.items()))
        span, children = spans.take_request()
        assert f"{span.parent.span_id:016x}" == PARENT
        assert span.name == "tensorflow.serving.PredictionService/Predict"
        assert span.attributes["rpc.response.status_code"] == "OK"
        assert (span.attributes["tfchain.model_name"], span.attributes["tfchain.model_version"]) == ("docs", 1)
        check_stages(span, children, STAGES)
        request.model_spec.name = "nope"
        with pytest.raises(grpc.RpcError):
            stub.Predict(request, timeout=30, metadata=list(SAMPLED.items()))
    span, children = spans.take_request()
    assert (span.attributes["rpc.response.status_code"], children) == ("NOT_FOUND", [])


def test_requests_that_are_not_sampled_and_probes_leave_no_spans(wire: Wire, spans: Spans) -> None:
    assert wire.http("POST", PATH, BODY).status == 200
    assert wire.http("POST", PATH, BODY, {"traceparent": f"00-{TRACE}-{PARENT}-00"}).status == 200
    for path in ("/health", "/live", "/ready", "/metrics"):
        assert wire.http("GET", path, headers=SAMPLED).status == 200
    assert wire.http("GET", "/v1/models/docs", headers=SAMPLED).status == 200
    span, children = spans.take_request()
    assert (span.name, children) == ("GET /v1/models/{model}", [])
    assert spans.ended.empty()


def test_a_graph_has_one_stage_and_so_has_its_load(wire: Wire, spans: Spans) -> None:
    body = {"signature_name": "embed_ids", "instances": [{"token_ids": [2, 3], "padding_mask": [1, 1]}]}
    names = []
    for _ in range(2):
        assert wire.http("POST", PATH, json.dumps(body).encode(), SAMPLED).status == 200
        names.append([child.name for child in spans.take_request()[1]])
    assert names == [["load", "run"], ["run"]]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, SERVICE_NAME),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=docs"}, SERVICE_NAME),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=docs, service.name=mine"}, None),
        ({"OTEL_SERVICE_NAME": "mine"}, None),
        ({"OTEL_CONFIG_FILE": "otel.yaml"}, None),
    ],
)
def test_a_service_that_has_a_name_keeps_it(environment: dict[str, str], name: str | None) -> None:
    chosen = {} if name is None else {"resource_attributes": {"service.name": name}}
    assert _choose_arguments(environment) == chosen


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end() -> None:
    is_let_go = Event()
    provider = TracerProvider()
    provider.shutdown = lambda: is_let_go.wait(60)  # type: ignore[method-assign]
    RequestTracer(provider, close_seconds=0.01).close()
    is_let_go.set()


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._configuration", None)
    with pytest.raises(InputError, match=r"which is not installed: .* Run `pip install tfchain\[otel\]`\."):
        start_tracing()


def test_a_wrong_variable_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nope")
    with pytest.raises(InputError, match=r"OpenTelemetry cannot start: .*nope.* Check the OTEL_… environment"):
        start_tracing()


class Collector:
    """Takes what is sent by OTLP over HTTP; use it in a `with` block."""

    def __init__(self) -> None:
        self.bodies = bodies = Queue[bytes]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Collector":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_deployed_server_sends_its_traces_where_the_variables_say(
    native_version: NativeVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        path, ports = native_version.path.parent, DeployedPorts(has_traces=True)
        started = deploy(path, model_name="docs", engine="native", program=PROGRAM, ports=ports)
        with started as deployment, urllib.request.urlopen(deployment.rest_url + PATH, BODY, timeout=30) as answer:
            assert answer.status == 200
        sent = ExportTraceServiceRequest.FromString(collector.bodies.get(timeout=30))  # what is left at the end
    (resource,) = sent.resource_spans
    assert {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"] == SERVICE_NAME
    spans = [span for scope in resource.scope_spans for span in scope.spans]
    assert [span.name for span in spans] == [*STAGES, "POST /v1/models/{model}:predict"]
