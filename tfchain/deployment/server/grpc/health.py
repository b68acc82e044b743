"""The health service, `grpc.health.v1.Health`, with the names and texts of TensorFlow Serving's C++ server."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

SERVICES = ("", "ModelService", "PredictionService")
HEALTH_METHODS = "/grpc.health.v1.Health/"
SendResponse = Callable[[Any], None]


class _Context:
    """The context of a watch, whose callbacks never keep gRPC waiting.

    gRPC calls them in the thread that also reports that an answer has been sent. The library's callback waits for a
    lock that is held while answers are sent, so a client that leaves at that moment would stop the server for ever.

    Args:
        context: gRPC's own context.
    """

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Has a callback run in a thread of its own at the end of the call."""
        added: bool = self._context.add_callback(
            lambda: threading.Thread(target=callback, name="watch-end", daemon=True).start()
        )
        return added


class Health:
    """Adds the service to a server, and says when the server begins to stop.

    Args:
        server: The gRPC server, not yet started.
        threads: Where the calls run: probes must be answered while all threads of the requests are busy.
    """

    def __init__(self, server: Any, threads: ThreadPoolExecutor) -> None:
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        self._lock = threading.Lock()
        self._watchers: set[SendResponse] = set()
        watchers, lock = self._watchers, self._lock

        class Servicer(health.HealthServicer):
            def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
                response = super().Check(request, context)
                if context.code() == grpc.StatusCode.NOT_FOUND:
                    context.set_details("service name unknown")
                return response

            Check.experimental_thread_pool = threads  # type: ignore[attr-defined]

            def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:
                with lock:
                    watchers.add(send_response_callback)

                def forget() -> None:
                    with lock:
                        watchers.discard(send_response_callback)

                context.add_callback(forget)
                return super().Watch(request, _Context(context), send_response_callback)

        self._servicer = Servicer(experimental_thread_pool=threads)
        for name in SERVICES:
            self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def announce_stop(self) -> None:
        """Answers NOT_SERVING from now on, and ends the open watches, which would keep the server from stopping."""
        self._servicer.enter_graceful_shutdown()
        with self._lock:
            watchers = list(self._watchers)
        for send in watchers:
            send(None)
