"""What is decided of a call when it arrives."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tfchain.deployment.server.grpc.authentication import FarewellInterceptor
from tfchain.deployment.server.grpc.farewell import Farewell


def test_calls_that_wait_for_a_thread_when_the_server_stops_are_answered() -> None:
    begun, go_on, arrived = threading.Event(), threading.Event(), threading.Semaphore(0)
    farewell = Farewell()

    class Counting(FarewellInterceptor):
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            handler = super().intercept_service(continuation, details)
            arrived.release()
            return handler

    def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
        begun.set()
        assert go_on.wait(10)
        return request

    server = grpc.server(ThreadPoolExecutor(1), interceptors=[Counting(farewell, ThreadPoolExecutor(1))])
    handlers = {"Ask": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/test/Ask")
            accepted = [ask.future(str(number).encode(), timeout=20) for number in range(4)]
            assert begun.wait(10)
            assert all(arrived.acquire(timeout=10) for _ in accepted)
            farewell.say()
            late = ask.future(b"late", timeout=20)
            assert arrived.acquire(timeout=10)
            with pytest.raises(grpc.RpcError) as caught:
                late.result()  # at once, though the only thread is busy
            go_on.set()
            assert [call.result() for call in accepted] == [b"0", b"1", b"2", b"3"]
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert caught.value.details() == "The server is stopping."
    finally:
        go_on.set()
        server.stop(1.0).wait(5)
