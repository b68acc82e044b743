"""Handlers that refuse a gRPC call, whatever its method."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def refuse(
    handler: Any,
    code: grpc.StatusCode,
    message: str,
    threads: ThreadPoolExecutor,
    metadata: tuple[tuple[str, str], ...] = (),
) -> Any:
    """Returns a handler that refuses the calls of another one.

    Args:
        handler: The method's handler.
        code: The code of the refusal.
        message: Its text.
        threads: Where the refusal runs: those of the requests may all be busy.
        metadata: What the client gets with it. Default: nothing.
    """

    def answer(_: Any, context: grpc.ServicerContext) -> Any:
        if metadata:
            context.set_trailing_metadata(metadata)
        context.abort(code, message)

    answer.experimental_thread_pool = threads  # type: ignore[attr-defined]
    make = _MAKERS[handler.request_streaming, handler.response_streaming]
    return make(
        answer, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
    )


def has_own_threads(handler: Any) -> bool:
    """Returns whether the calls of a handler do not take the threads of the requests."""
    return any(hasattr(getattr(handler, kind), "experimental_thread_pool") for kind in _KINDS)
