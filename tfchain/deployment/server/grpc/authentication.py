"""Refuses gRPC calls on arrival: without an API key, or while the server stops. The health service is left out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.grpc.farewell import Farewell
from tfchain.deployment.server.grpc.health import HEALTH_METHODS
from tfchain.deployment.server.grpc.refusal import refuse
from tfchain.deployment.server.metrics.registry import Counter
from tfchain.deployment.server.status import StatusError


class KeyInterceptor(grpc.ServerInterceptor):
    """Lets calls with the metadata `authorization: Bearer KEY` through.

    Args:
        keys: The keys.
        refused: Counts the calls without a valid key, by protocol.
        refusals: The threads of the calls that are refused.
    """

    def __init__(self, keys: ApiKeys, refused: Counter, refusals: ThreadPoolExecutor) -> None:
        self._keys = keys
        self._refusals = refusals
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
            return refuse(handler, grpc.StatusCode.UNAUTHENTICATED, error.message, self._refusals)
        return handler


class FarewellInterceptor(grpc.ServerInterceptor):
    """Refuses calls that arrive while the server stops; those that wait for a thread were accepted before.

    Args:
        farewell: Knows whether the server is stopping.
        refusals: The threads of the calls that are refused.
    """

    def __init__(self, farewell: Farewell, refusals: ThreadPoolExecutor) -> None:
        self._farewell = farewell
        self._refusals = refusals

    def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        """Returns the method's handler, or one that refuses the call."""
        handler = continuation(details)
        if handler is None or details.method.startswith(HEALTH_METHODS):
            return handler
        try:
            self._farewell.check()
        except StatusError as error:
            return refuse(handler, grpc.StatusCode.UNAVAILABLE, error.message, self._refusals)
        return handler
