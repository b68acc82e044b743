"""The server as a process of its own. Each start costs seconds, so tests share them."""

import contextlib
import copy
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.certificates import make_certificates
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.deploy import Deployment, _last_line, deploy
from tfchain.deployment.deployed_ports import DeployedPorts

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def half_plus_two(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x / 2.0 + 2.0}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def product(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.matmul(x, [[1.0], [10.0]])}

    module = Module()
    folder = tmp_path_factory.mktemp("deploy")
    signatures = {"serving_default": module.half_plus_two, "product": module.product}
    tf.saved_model.save(module, str(folder / "1"), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def deployment(base_path: Path, log_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server that was started in a folder with files named like modules, with a variable that must not reach it."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    folder = tmp_path_factory.mktemp("current")
    for name in ("random", "queue", "tfchain"):
        (folder / f"{name}.py").write_text("raise SystemExit('a file of the current folder was run')")
    monkeypatch.chdir(folder)
    before = dict(os.environ)
    with deploy(base_path, model_name="hpt", log_path=log_path) as made:
        assert dict(os.environ) == before
        monkeypatch.undo()
        yield made


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def find_processes(argument: str) -> list[int]:
    """The processes that run with an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0") and is_alive(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


def test_a_deployment_answers_over_both_protocols_as_soon_as_it_is_there(deployment: Deployment) -> None:
    assert deployment.is_running
    with deployment.client() as client:
        for protocol in ("rest", "grpc"):
            found = client.predict(
                {"x": [1.0, 5.0]} if protocol == "rest" else {"x": _floats()}, model="hpt", protocol=protocol
            )
            assert found["y"].tolist() == [2.5, 4.5]
    assert deployment.rest_url.startswith("http://127.0.0.1:")
    assert deployment.grpc_target.startswith("127.0.0.1:")
    assert "running" in repr(deployment)


def test_the_server_listens_on_the_loopback_alone_and_has_no_environment_of_tfmot(deployment: Deployment) -> None:
    environment = Path(f"/proc/{deployment.pid}/environ").read_bytes()
    assert b"TF_USE_LEGACY_KERAS" not in environment
    own_address = next(
        (found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)), "127.0.0.1"
    )
    if not own_address.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((own_address, int(deployment.rest_url.rpartition(":")[2])), timeout=2)


def test_a_failed_request_and_the_start_leave_no_line_of_tensorflow_in_the_log(
    deployment: Deployment, log_path: Path
) -> None:
    with deployment.client() as client, pytest.raises(ServerError, match="Matrix size-incompatible"):
        client.predict({"x": [[1.0, 2.0, 3.0]]}, model="hpt", signature="product", protocol="rest")
    lines = log_path.read_text().splitlines()
    assert [line.split(" ", 2)[2].split(" at")[0] for line in lines] == [
        "serving hpt version 1",
        "Running gRPC ModelServer",
        "Exporting HTTP/REST API",
    ]


@pytest.mark.parametrize("port", ["grpc_port", "rest_port"])
def test_a_port_in_use_is_one_clear_error(base_path: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ServerError, match=rf"exit code 255.*Port {number} on 127.0.0.1 cannot be opened: .*in use"):
            deploy(base_path, model_name="m", **{port: number})  # type: ignore[arg-type]
        assert len(os.listdir("/proc/self/fd")) == before


def test_the_error_of_a_start_is_told_and_not_what_was_said_after_it(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w+b") as log:
        log.write(b"a line\ntfchain-model-server: error: the port is taken\nExiting.\n\n")
        assert _last_line(log) == "Its last log line: the port is taken "
        log.write(b"x")
    with open(tmp_path / "other", "w+b") as log:
        log.write(b"a line\nSegmentation fault \xff\n \n")
        assert _last_line(log) == "Its last log line: Segmentation fault \ufffd "
    crash = "import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)"
    with open(tmp_path / "crash", "w+b") as log:
        assert subprocess.run([sys.executable, "-c", crash], stderr=log, check=False).returncode == -signal.SIGSEGV
        log.write(b"Extension modules: several\n")
        found = _last_line(log)
        assert found.startswith("Its last log line: Fatal Python error: Segmentation fault, File ")
        assert "in string_at" in found
    with open(tmp_path / "empty", "w+b") as log:
        assert _last_line(log) == ""


def test_a_server_that_does_not_heed_the_signal_is_killed() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        pipe, other = os.pipe()
        os.close(pipe)
        deployment = Deployment(process, model_name="m", host="::1", grpc_port=1, rest_port=2, pipe=other)
        assert (deployment.grpc_target, deployment.rest_url) == ("[::1]:1", "http://[::1]:2")
        deployment.stop(timeout_seconds=0.1)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(OSError):
        os.fstat(other)


def test_a_missing_or_empty_base_path_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"Received: .*nope \(No such file or directory\)"):
        deploy(tmp_path / "nope", model_name="m")
    with pytest.raises(ServerError, match="must hold a version folder"):
        deploy(tmp_path, model_name="m")


@pytest.mark.usefixtures("forks")
def test_a_broken_version_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    with pytest.raises(ServerError, match=r"name: m version: 3\} due to error: NOT_FOUND: Could not find SavedModel"):
        deploy(tmp_path, model_name="m")


def test_a_server_that_takes_too_long_is_ended(base_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ServerError, match=r"was not ready in 0\.2 s"):
        deploy(base_path, model_name="slow", timeout_seconds=0.2)
    assert time.monotonic() - start < 5
    assert not find_processes("--model_name=slow")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_name": "a/b"}, "model_name='a/b'"),
        ({"grpc_port": 9, "rest_port": 9}, "`grpc_port` and `rest_port` must differ. Received: 9 for both"),
        ({"timeout_seconds": 0}, "`timeout_seconds` must be a number above 0. Received: timeout_seconds=0"),
        ({"log_path": "no/such/folder/log"}, r"Received: no/such/folder/log \(No such file or directory\)"),
    ],
)
def test_wrong_arguments_are_named(
    tmp_path: Path, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        deploy(tmp_path, **{"model_name": "m", **options})


# Deploys in a thread that ends, and says what became of the server when Ctrl-C comes.
PARENT = """
import signal, sys, threading, time
from tfchain.deployment.deploy import deploy
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
made = []
thread = threading.Thread(target=lambda: made.append(deploy(sys.argv[1], model_name="m")))
thread.start()
thread.join()
(deployment,) = made
try:
    print(deployment.pid, flush=True)
    if sys.argv[2] == "wait":
        time.sleep(100)
except KeyboardInterrupt:
    with deployment.client() as client:
        print(client.status("m", protocol="rest"), flush=True)
    time.sleep(100)
"""


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("ending", ["exit", "kill"])
def test_the_server_outlives_ctrl_c_and_ends_with_the_process_that_started_it(base_path: Path, ending: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(base_path), "wait" if ending == "kill" else "leave"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,  # a process group, as a shell gives one to each command
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        if ending == "kill":
            os.killpg(parent.pid, signal.SIGINT)  # what Ctrl-C does, and Jupyter's stop button
            assert parent.stdout.readline() == "{1: 'AVAILABLE'}\n"
            assert is_alive(pid)
            parent.send_signal(signal.SIGKILL)
        parent.wait(20)
        deadline = time.monotonic() + 5
        while is_alive(pid):
            assert time.monotonic() < deadline, "the server outlived its parent"
            time.sleep(0.05)


def test_a_deployment_that_is_pickled_says_what_to_pass_on(deployment: Deployment) -> None:
    for dump in (pickle.dumps, copy.deepcopy):
        with pytest.raises(
            InputError, match=r"owns its server's process, and cannot be pickled or copied.*`client\(\)`"
        ):
            dump(deployment)
    assert deployment.is_running


def test_stop_ends_the_server_and_may_be_called_twice(deployment: Deployment) -> None:
    # the last test of this module: it ends the server that the others share
    pid = deployment.pid
    start = time.monotonic()
    deployment.stop()
    assert time.monotonic() - start < 10
    assert not is_alive(pid)
    assert not deployment.is_running
    assert deployment._process.returncode == 0
    deployment.stop()
    assert "stopped" in repr(deployment)
    with deployment.client() as client, pytest.raises(ServerError, match="cannot be reached"):
        client.status("hpt", protocol="rest")


def _floats() -> object:
    import numpy as np

    return np.array([1.0, 5.0], np.float32)


@pytest.mark.usefixtures("forks")
def test_a_deployment_with_tls_and_keys_is_reached_by_its_client(base_path: Path, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    (tmp_path / "keys").write_text("key\n")
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    ports = DeployedPorts(
        certificates.write_config(tmp_path / "tls"), tmp_path / "keys", monitoring_config=tmp_path / "monitoring"
    )
    ca = certificates.path("ca.pem")
    with deploy(base_path, model_name="hpt", ports=ports) as made:
        assert made.rest_url.startswith("https://127.0.0.1:")
        for protocol in ("grpc", "rest"):
            with made.client(ca_file=ca, api_key="key") as client:
                answer = client.predict({"x": [np.float32(1)]}, model="hpt", protocol=protocol)
                assert answer["y"].tolist() == [2.5]
            with made.client(ca_file=ca) as client, pytest.raises(RequestError, match="UNAUTHENTICATED"):
                client.status("hpt", protocol=protocol)
        context = ssl.create_default_context(cafile=str(ca))
        for path in ("/monitoring/prometheus/metrics", "/metrics"):
            request = urllib.request.Request(made.rest_url + path, headers={"Authorization": "Bearer key"})
            with urllib.request.urlopen(request, context=context, timeout=10) as response:
                assert b':tensorflow:serving:request_count{model_name="hpt",status="OK"} 3' in response.read()


def test_a_wrong_file_of_a_deployments_ports_is_named_at_once(base_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="The file of API keys must be a file that can be read"):
        deploy(base_path, model_name="hpt", ports=DeployedPorts(api_key_file=tmp_path / "nope"))
