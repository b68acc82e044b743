"""A span of each gRPC call, by OpenTelemetry's semantic conventions for RPC servers."""

import functools
from collections.abc import Callable
from typing import Any

import grpc

from tfchain.deployment.server.grpc.health import HEALTH_METHODS
from tfchain.deployment.server.tracing import RequestTracer, set_failed

# The codes that are a server's fault; the others are the client's.
_FAULTS = frozenset(
    (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)


class TracingInterceptor(grpc.ServerInterceptor):
    """Makes a span of each call of one request and one answer, but for the health service.

    It comes before the interceptors that ask for a key, so that calls without one have a span, too.

    Args:
        tracer: Makes the spans.
    """

    def __init__(self, tracer: RequestTracer) -> None:
        self._tracer = tracer

    def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        """Returns the method's handler within a span."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None or details.method.startswith(HEALTH_METHODS):
            return handler
        method = details.method.removeprefix("/")
        metadata = {name: value for name, value in details.invocation_metadata if isinstance(value, str)}
        attributes = {"rpc.system.name": "grpc", "rpc.method": method}
        if "user-agent" in metadata:
            attributes["user_agent.original"] = metadata["user-agent"]

        @functools.wraps(handler.unary_unary)  # with the threads that it may have of its own
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            with self._tracer.request(method, metadata, attributes) as span:
                code = grpc.StatusCode.UNKNOWN  # of an exception that no status was given to
                try:
                    response = handler.unary_unary(request, context)
                    code = grpc.StatusCode.OK
                    return response
                finally:
                    code = context.code() or code
                    span.set_attribute("rpc.response.status_code", code.name)
                    if code in _FAULTS:
                        set_failed(span, code.name, _to_text(context.details()))

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )


def _to_text(details: Any) -> str | None:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details
