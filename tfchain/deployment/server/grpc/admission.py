"""Lets gRPC calls in or refuses them on arrival, and counts those that run or wait."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

from tfchain.deployment.server.admission import RETRY_SECONDS, Gate
from tfchain.deployment.server.grpc.refusal import has_own_threads, refuse
from tfchain.deployment.server.status import StatusError

COUNTED = "/tensorflow.serving.PredictionService/"
_PUSHBACK = ("grpc-retry-pushback-ms", str(1000 * RETRY_SECONDS))  # gRPC's Retry-After


class AdmissionInterceptor(grpc.ServerInterceptor):
    """Refuses calls of PredictionService with RESOURCE_EXHAUSTED while too many requests run or wait.

    It must be the outermost interceptor: it counts the calls that no other one refuses.

    Args:
        gate: Counts the requests, those of REST too.
        pool: The threads of the calls.
        refusals: The threads of the calls that are refused, which need not wait for the others.
    """

    def __init__(self, gate: Gate, pool: ThreadPoolExecutor, refusals: ThreadPoolExecutor) -> None:
        self._gate = gate
        self._refusals = refusals
        self._counted = _CountedThreads(pool, gate)

    def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        """Returns the method's handler, or one that refuses the call."""
        handler = continuation(details)
        if handler is None or not details.method.startswith(COUNTED) or has_own_threads(handler):
            return handler
        try:
            self._gate.enter()
        except StatusError as error:
            return refuse(handler, grpc.StatusCode.RESOURCE_EXHAUSTED, error.message, self._refusals, (_PUSHBACK,))
        answer = handler.unary_unary

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            return answer(request, context)

        call.experimental_thread_pool = self._counted  # type: ignore[attr-defined]
        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _CountedThreads(ThreadPoolExecutor):
    """The threads of another pool, for calls that were counted in; gRPC hands each of them in once.

    A call that its client gave up while it waited ends here, too, as soon as a thread takes it.
    """

    def __init__(self, pool: ThreadPoolExecutor, gate: Gate) -> None:
        self._pool = pool
        self._gate = gate

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs a call when its turn comes, and counts it out at its end."""
        try:
            future = self._pool.submit(function, *args, **kwargs)
        except BaseException:  # the server is stopping
            self._gate.leave()
            raise
        future.add_done_callback(lambda _: self._gate.leave())
        return future
