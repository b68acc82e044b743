"""The spans of gRPC calls, over a real port."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tfchain.deployment.server.grpc.spans import TracingInterceptor
from tfchain.deployment.server.tracing import RequestTracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Refusing(grpc.ServerInterceptor):
    """Refuses a method, as one that wants a key does."""

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        if not details.method.endswith("Refused"):
            return continuation(details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
        )


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def channel(exporter: InMemorySpanExporter) -> Iterator[grpc.Channel]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def abort(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    def fail(_: bytes, context: grpc.ServicerContext) -> bytes:
        raise ValueError("a bug")

    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Refused": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Abort": grpc.unary_unary_rpc_method_handler(abort),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Stream": grpc.unary_stream_rpc_method_handler(lambda request, _: iter([request])),
    }
    pool = ThreadPoolExecutor(1)
    server = grpc.server(pool, interceptors=[TracingInterceptor(RequestTracer(provider)), Refusing()])
    for service in ("test.Service", "grpc.health.v1.Health"):
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None).wait(10)
    pool.shutdown()  # all spans have ended


def call(channel: grpc.Channel, exporter: InMemorySpanExporter, method: str, metadata: Any = ()) -> ReadableSpan:
    """Calls a method, and returns its span: a span ends after its answer is sent, and before the next call is taken."""
    exporter.clear()
    for path in (method, "/grpc.health.v1.Health/Echo"):  # the second one has no span
        try:
            channel.unary_unary(path)(b"1", timeout=10, metadata=metadata)
        except grpc.RpcError:
            continue
    (span,) = exporter.get_finished_spans()
    return span


@pytest.mark.parametrize(
    ("method", "code", "error"),
    [
        ("Echo", "OK", None),
        ("Refused", "UNAUTHENTICATED", None),
        ("Abort", "UNAVAILABLE", "not now"),
        ("Fail", "UNKNOWN", "Exception calling application: a bug"),
    ],
)
def test_a_span_has_the_calls_status(
    channel: grpc.Channel, exporter: InMemorySpanExporter, method: str, code: str, error: str | None
) -> None:
    span = call(channel, exporter, f"/test.Service/{method}")
    assert (span.name, span.kind) == (f"test.Service/{method}", SpanKind.SERVER)
    values = {name: span.attributes[name] for name in ("rpc.system.name", "rpc.method", "rpc.response.status_code")}
    assert list(values.values()) == ["grpc", f"test.Service/{method}", code]
    assert str(span.attributes["user_agent.original"]).startswith("grpc-python/")
    assert span.parent is None
    is_fault = error is not None
    assert span.status.status_code is (StatusCode.ERROR if is_fault else StatusCode.UNSET)
    assert span.attributes.get("error.type") == (code if is_fault else None)
    if method == "Abort":
        assert span.status.description == error


def test_the_parent_is_in_the_metadata(channel: grpc.Channel, exporter: InMemorySpanExporter) -> None:
    span = call(channel, exporter, "/test.Service/Echo", [("traceparent", f"00-{TRACE}-{PARENT}-01")])
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)


def test_streams_and_the_health_service_have_no_spans(channel: grpc.Channel, exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    assert list(channel.unary_stream("/test.Service/Stream")(b"1", timeout=10)) == [b"1"]
    assert channel.unary_unary("/grpc.health.v1.Health/Echo")(b"1", timeout=10) == b"1"
    assert exporter.get_finished_spans() == ()
