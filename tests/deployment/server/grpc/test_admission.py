"""Which gRPC calls are let in while others run or wait."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tfchain.deployment.server.admission import Gate, OverloadedError
from tfchain.deployment.server.grpc.admission import AdmissionInterceptor
from tfchain.deployment.server.grpc.authentication import FarewellInterceptor
from tfchain.deployment.server.grpc.farewell import Farewell

PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Service:
    """A service of one thread that two calls may use; calls wait until the test lets them go."""

    def __init__(self) -> None:
        self.gate = Gate(2)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.answered: list[bytes] = []
        self.farewell = Farewell()
        pool, self.refusals = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        interceptors = [
            AdmissionInterceptor(self.gate, pool, self.refusals),
            FarewellInterceptor(self.farewell, self.refusals),
        ]
        self.server = grpc.server(pool, interceptors=interceptors)
        handlers = {"Predict": grpc.unary_unary_rpc_method_handler(self.answer)}
        for name in ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"):
            self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def answer(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        self.begun.release()
        assert self.go_on.wait(10)
        self.answered.append(request)
        return request

    def is_full(self) -> bool:
        try:
            self.gate.enter()
        except OverloadedError:
            return True
        self.gate.leave()
        return False

    def wait_until(self, is_full: bool) -> None:
        waited = threading.Event()
        for _ in range(1000):
            if self.is_full() == is_full:
                return
            waited.wait(0.01)
        raise AssertionError


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.go_on.set()
    made.server.stop(1.0).wait(5)
    made.refusals.shutdown()


@pytest.fixture
def ask(service: Service) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield channel.unary_unary(PREDICT)


def test_a_call_too_many_is_refused_at_once_and_told_when_to_come_back(service: Service, ask: Any) -> None:
    first, second = ask.future(b"1", timeout=20), ask.future(b"2", timeout=20)
    service.wait_until(True)
    third = ask.future(b"3", timeout=20)
    with pytest.raises(grpc.RpcError) as caught:
        third.result()  # though the only thread is busy
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "The server is overloaded: 2 requests are running or waiting. Try again."
    assert dict(third.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
    service.go_on.set()
    assert (first.result(), second.result()) == (b"1", b"2")
    service.wait_until(False)
    assert ask(b"4", timeout=20) == b"4"


def test_other_services_are_not_counted(service: Service, ask: Any) -> None:
    calls = [ask.future(b"1", timeout=20), ask.future(b"2", timeout=20)]
    service.wait_until(True)
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        other = channel.unary_unary("/tensorflow.serving.ModelService/Predict").future(b"status", timeout=20)
        service.go_on.set()
        assert other.result() == b"status"
    assert [call.result() for call in calls] == [b"1", b"2"]


def test_a_call_that_its_client_gives_up_while_it_waits_does_not_run_and_leaves(service: Service, ask: Any) -> None:
    first = ask.future(b"1", timeout=20)
    assert service.begun.acquire(timeout=10)
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"2", timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    service.go_on.set()
    assert first.result() == b"1"
    assert ask(b"3", timeout=20) == b"3"
    assert service.answered == [b"1", b"3"]
    service.gate.enter()
    service.wait_until(False)  # an answer may be there before its call has left


def test_a_call_that_another_interceptor_refuses_is_not_counted(service: Service, ask: Any) -> None:
    service.farewell.say()
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            ask(b"1", timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    service.gate.enter()
    assert not service.is_full()
