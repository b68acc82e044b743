"""Refuses gRPC calls on arrival: without an API key, or while the server stops. The health service is left out."""

from collections.abc import Callable
from typing import Any

import grpc

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.grpc.farewell import Farewell
from tfchain.deployment.server.grpc.health import HEALTH_METHODS
from tfchain.deployment.server.metrics.registry import Counter
from tfchain.deployment.server.status import StatusError

_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class KeyInterceptor(grpc.ServerInterceptor):
    """Lets calls with the metadata `authorization: Bearer KEY` through.

    Args:
        keys: The keys.
        refused: Counts the calls without a valid key, by protocol.
    """

    def __init__(self, keys: ApiKeys, refused: Counter) -> None:
        self._keys = keys
        self._refused = refused

    def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        """Returns the method's handler, or one that refuses the call."""
        handler = continuation(details)
        if handler is None or details.method.startswith(HEALTH_METHODS):
            return handler
        authorization = next((value for name, value in details.invocation_metadata if name == "authorization"), None)
        try:
            self._keys.check(authorization)
        except StatusError as error:
            self._refused.labels("GRPC").add()
            return _refusing(handler, grpc.StatusCode.UNAUTHENTICATED, error.message)
        return handler


class FarewellInterceptor(grpc.ServerInterceptor):
    """Refuses calls that arrive while the server stops; those that wait for a thread were accepted before.

    Args:
        farewell: Knows whether the server is stopping.
    """

    def __init__(self, farewell: Farewell) -> None:
        self._farewell = farewell

    def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        """Returns the method's handler, or one that refuses the call."""
        handler = continuation(details)
        if handler is None or details.method.startswith(HEALTH_METHODS):
            return handler
        try:
            self._farewell.check()
        except StatusError as error:
            return _refusing(handler, grpc.StatusCode.UNAVAILABLE, error.message)
        return handler


def _refusing(handler: Any, code: grpc.StatusCode, message: str) -> Any:
    def refuse(_: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, message)

    make = _MAKERS[handler.request_streaming, handler.response_streaming]
    return make(
        refuse, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
    )
