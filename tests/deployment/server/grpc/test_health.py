"""The health service, apart from a server."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tfchain.deployment.server.grpc.health import Health


def test_the_end_of_a_watch_does_not_wait_for_answers_that_are_being_sent() -> None:
    server: Any = SimpleNamespace(
        add_generic_rpc_handlers=lambda _: None, add_registered_method_handlers=lambda *_: None
    )
    servicer = Health(server, ThreadPoolExecutor(1))._servicer
    ends: list[Callable[[], None]] = []
    context = SimpleNamespace(add_callback=lambda end: ends.append(end) or True)
    servicer.Watch(health_pb2.HealthCheckRequest(), context, lambda _: None)
    assert len(ends) == 2  # the library's and ours

    def end_watch() -> None:  # as the one thread of gRPC does that also reports what has been sent
        for end in ends:
            end()

    with servicer._lock:  # held while a change is sent to the watchers
        thread = threading.Thread(target=end_watch, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def test_probes_are_answered_while_the_threads_of_the_requests_are_busy() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(request: bytes, _: grpc.ServicerContext) -> bytes:
        begun.set()
        assert go_on.wait(10)
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"Wait": grpc.unary_unary_rpc_method_handler(wait)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", handlers)])
    health = Health(server, ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    serving = health_pb2.HealthCheckResponse.SERVING
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            busy = channel.unary_unary("/test/Wait").future(b"", timeout=20)
            assert begun.wait(10)
            stub: Any = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="ModelService")
            watch = stub.Watch(request, timeout=20)
            assert next(watch).status == serving
            assert stub.Check(request, timeout=20).status == serving  # a watch holds no thread either
            assert not busy.done()
            go_on.set()
            busy.result()
            health.announce_stop()
            assert [response.status for response in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
    finally:
        go_on.set()
        server.stop(1.0).wait(5)
