"""A server with two workers, as clients of both protocols see it. The tests follow it from its start to its end."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.conformance.conftest import VERSION
from tests.conformance.test_grpc import Stubs
from tests.forked import ForkServer
from tfchain.deployment.deploy import Deployment, deploy

# A call may meet the dying worker twice: on its connection, and in its queue of new ones. After that, gRPC waits a
# second before it connects again, so the retries must go on for longer.
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


@dataclass
class Workers:
    """The server, its log, and ways to ask it: each HTTP request has a connection of its own."""

    deployment: Deployment
    log_path: Path
    stubs: Stubs

    @property
    def rest_port(self) -> int:
        return int(self.deployment.rest_url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, by the order in which they last became ready."""
        found = dict(re.findall(r"worker (\d) \(process (\d+)\) is ready", self.log))
        return [int(pid) for _, pid in sorted(found.items())]

    def http(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metrics(self) -> dict[str, float]:
        lines = self.http("GET", "/metrics")[1].splitlines()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }


@pytest.fixture(scope="module")
def workers(base_path: Path, tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer) -> Iterator[Workers]:
    folder = tmp_path_factory.mktemp("workers")
    with fork_server.replaces_processes():
        deployment = deploy(base_path, model_name="hpt", workers=2, log_path=folder / "log")
    with deployment:
        stubs = Stubs(deployment.grpc_target)
        yield Workers(deployment, folder / "log", stubs)
        stubs.channel.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in 60 s"
        time.sleep(0.02)


def test_a_deployment_is_there_when_all_workers_are_and_both_protocols_answer(workers: Workers) -> None:
    assert len(workers.pids) == 2
    for _ in range(4):
        assert workers.http("GET", "/ready") == (200, '{"status": "ready", "models": {"hpt": true}}')
    assert json.loads(workers.http("POST", "/v1/models/hpt:predict", {"instances": [1, 5]})[1]) == {
        "predictions": [2.5, 4.5]
    }
    with workers.deployment.client() as client:
        for protocol in ("rest", "grpc"):
            found = client.predict({"x": np.array([1.0], np.float32)}, model="hpt", protocol=protocol)
            assert found["y"].tolist() == [2.5]


def test_metrics_are_those_of_all_workers(workers: Workers) -> None:
    name = ':tensorflow:serving:request_count{model_name="hpt",status="OK"}'
    before = workers.metrics()
    for _ in range(12):
        assert workers.http("POST", "/v1/models/hpt:predict", {"instances": [1]})[0] == 200
    for _ in range(3):  # whichever worker is asked
        after = workers.metrics()
        assert after[name] == before[name] + 12
    assert after[f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{_path(after)}",status="success"}}'] == 2
    assert {f'process_threads{{worker="{worker}"}}' for worker in (1, 2, "supervisor")} <= after.keys()
    assert after["tfchain_workers_ready{}"] == 2


def _path(metrics: dict[str, float]) -> str:
    return next(found[1] for name in metrics if (found := re.search(r'load_attempt_count\{model_path="([^"]+)"', name)))


def make_reload(base_path: Path, *names: str, label: int = VERSION) -> Any:
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest(metric_names=["/tensorflow/cc/saved_model/load_attempt_count"])
    entries = [
        f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" '
        f'version_labels {{ key: "best" value: {label} }} }}'
        for name in names
    ]
    text_format.Parse(f"model_config_list {{ {' '.join(entries)} }}", request.config)
    return request


def test_a_reload_reaches_all_workers(workers: Workers, base_path: Path) -> None:
    from tensorflow_serving.apis import model_service_pb2_grpc

    stub = model_service_pb2_grpc.ModelServiceStub(workers.stubs.channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.HandleReloadConfigRequest(make_reload(base_path, "hpt", label=77), timeout=30)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == (
        "Request to assign label to version 77 of model hpt, which is not currently available for inference"
    )
    config = make_reload(base_path, "hpt", "other")
    for entry in config.config.model_config_list.config:
        if entry.name == "other":  # its version does not answer yet
            entry.ClearField("version_labels")
    response = stub.HandleReloadConfigRequest(config, timeout=30)
    assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [(config.metric_names[0], 2)]
    for _ in range(20):
        assert workers.http("POST", "/v1/models/other:predict", {"instances": [1]})[0] == 200
        assert workers.http("POST", "/v1/models/hpt/labels/best:predict", {"instances": [1]})[0] == 200
    for number in (1, 2):
        assert f"[worker {number}] serving other version {VERSION}" in workers.log


@dataclass
class Load:
    """Threads that send requests until they are told to stop, and what came of each."""

    workers: Workers
    stop: threading.Event = field(default_factory=threading.Event)
    http: list[tuple[float, str]] = field(default_factory=list)  # start, result
    grpc: list[tuple[float, str]] = field(default_factory=list)

    def __enter__(self) -> "Load":
        kinds = [self._send_http] * 3 + [self._send_grpc] * 2
        self._threads = [threading.Thread(target=kind, daemon=True) for kind in kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _send_http(self) -> None:
        while not self.stop.wait(0.005):
            start = time.monotonic()
            try:
                status, text = self.workers.http("POST", "/v1/models/hpt:predict", {"instances": [1]})
                result = f"{status} {json.loads(text)['predictions']}"
            except (OSError, http.client.HTTPException) as error:
                result = type(error).__name__
            self.http.append((start, result))

    def _send_grpc(self) -> None:
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        request = self.workers.stubs.request({"x": np.array([1.0], np.float32)})
        options = [("grpc.service_config", json.dumps(RETRIES)), ("grpc.use_local_subchannel_pool", 1)]
        while not self.stop.wait(0.005):
            with grpc.insecure_channel(self.workers.deployment.grpc_target, options=options) as channel:
                predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
                for _ in range(20):
                    if self.stop.is_set():
                        break
                    start = time.monotonic()
                    try:
                        result = str(list(predict(request, timeout=20).outputs["y"].float_val))
                    except grpc.RpcError as error:
                        result = f"{error.code().name}: {error.details()}"
                    self.grpc.append((start, result))


def test_a_killed_worker_takes_no_other_request_with_it_and_comes_back_with_the_configuration(workers: Workers) -> None:
    first, second = workers.pids
    name = ':tensorflow:serving:request_count{model_name="hpt",status="OK"}'
    before = workers.metrics()[name]
    with Load(workers) as load:
        wait_for(lambda: len(load.http) > 30 and len(load.grpc) > 60, "load")
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        for results in (load.http, load.grpc):
            wait_for(lambda results=results: sum(start > killed for start, _ in results) > 5, "answers after it")
        os.kill(second, 0)
    lost = [(start, result) for start, result in load.http if result != "200 [2.5]"]
    assert all(start < killed for start, _ in lost), lost  # in flight on the killed worker
    assert {result for _, result in lost} <= {"ConnectionResetError", "RemoteDisconnected", "IncompleteRead"}
    assert len(lost) <= 3
    assert {result for _, result in load.grpc} == {"[2.5]"}
    assert workers.metrics()[name] >= before  # which the other worker asked the supervisor for before
    wait_for(lambda: len(re.findall(r"worker 1 \(process \d+\) is ready", workers.log)) == 2, "a new worker")
    assert f"worker 1 (process {first}) was ended by SIGKILL\n" in workers.log
    assert "worker 1 is started again in 0.1 s\n" in workers.log
    assert workers.log.count(f"[worker 1] serving other version {VERSION}") == 2
    for _ in range(20):
        assert workers.http("POST", "/v1/models/other:predict", {"instances": [1]})[0] == 200
        assert workers.http("POST", "/v1/models/hpt/labels/best:predict", {"instances": [1]})[0] == 200
    after = workers.metrics()
    assert (after["tfchain_workers_ready{}"], after["tfchain_worker_restarts_total{}"]) == (2, 1)


def begin_slowly(workers: Workers, body: bytes) -> socket.socket:
    """Opens a connection, and returns when a worker has accepted it and waits for the request's body."""
    stream = socket.create_connection(("127.0.0.1", workers.rest_port), timeout=30)
    head = f"POST /v1/models/hpt:predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}"
    stream.sendall(head.encode() + b"\r\n\r\n")
    assert stream.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return stream


def test_a_stop_under_load_answers_what_was_accepted(workers: Workers) -> None:
    steps, body = 4_000, b'{"signature_name": "slow", "inputs": {"steps": 4000}}'
    stubs = Stubs(workers.deployment.grpc_target)
    slow = stubs.request({"steps": np.int32(steps)}, "slow")
    with contextlib.closing(stubs.channel), Load(workers) as load:
        wait_for(lambda: len(load.http) > 20, "load")
        streams = [begin_slowly(workers, body) for _ in range(4)]
        call = stubs.prediction.Predict.future(slow, timeout=30)
        stubs.prediction.Predict(stubs.request({"x": np.array([1.0], np.float32)}))  # comes after it on the connection
        for stream in streams:
            stream.sendall(body)
        os.kill(workers.deployment.pid, signal.SIGTERM)
        for stream in streams:
            with stream:
                answer = b"".join(iter(lambda stream=stream: stream.recv(4096), b""))  # type: ignore[misc]
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"outputs": steps}
        assert list(call.result().outputs["n"].int_val) == [steps]
        wait_for(lambda: not workers.deployment.is_running, "the end")
    results = Counter(result for _, result in load.http)
    assert results.pop("200 [2.5]") > 20
    assert results.keys() <= {"ConnectionRefusedError", "ConnectionResetError"}  # never half an answer, or an empty one
    assert workers.deployment._process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers.pids)


MAIN = [sys.executable, "-P", "-m", "tfchain.deployment.server.main", "--workers=2", "--host=127.0.0.1"]


def test_a_start_that_cannot_succeed_is_one_error(tmp_path: Path) -> None:
    flags = [f"--model_base_path={tmp_path / 'gone'}", "--port=0", "--choose_ports"]
    done = subprocess.run([*MAIN, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 255
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("tfchain-model-server: error: ")] == lines[-1:]
    assert re.search(r"Received: .*/gone \(No such file or directory\)", lines[-1])
    assert sum("could not start" in line for line in lines) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_their_supervisor_also_before_they_are_ready(base_path: Path, number: signal.Signals) -> None:
    flags = [f"--model_base_path={base_path}", "--port=0", "--choose_ports"]
    with subprocess.Popen([*MAIN, *flags], stderr=subprocess.DEVNULL) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(lambda: len(children.read_text().split()) == 2, "the start of workers")
        pids = children.read_text().split()
        if number is signal.SIGHUP:  # is ignored, here and in the workers
            for pid in (process.pid, *map(int, pids)):
                os.kill(pid, number)
            assert children.read_text().split() == pids
            number = signal.SIGINT
        process.send_signal(number)
        assert process.wait(30) == (-signal.SIGKILL if number is signal.SIGKILL else 0)
        wait_for(lambda: not any(_is_alive(pid) for pid in pids), "the workers' end")


def _is_alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False
