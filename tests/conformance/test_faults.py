"""Faults around a running server: damaged versions and files, folders that vanish, memory, clocks, odd bytes."""

import ast
import contextlib
import gc
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from tests.conformance.conftest import Wire
from tfchain.deployment.server.grpc.server import GrpcServer
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.saved_model import load_saved_model
from tools.fuzz.messages import Context
from tools.fuzz.versions import write_version

BODY = '{"instances": [[1, 2]]}'
PREDICT = "/v1/models/m:predict"
SERVER = Path(__file__).resolve().parents[2] / "tfchain" / "deployment" / "server"


@dataclass
class Live:
    """A running server, and the files that it watches."""

    wire: Wire
    base_path: Path
    config: Path
    good: Path

    def check_answers(self) -> None:
        reply = self.wire.predict(BODY, PREDICT)
        assert (reply.status, reply.text) == (200, '{\n    "predictions": [[21.0]\n    ]\n}')

    def states(self) -> dict[str, tuple[str, str]]:
        import json

        found = json.loads(self.wire.http("GET", "/v1/models/m").text)["model_version_status"]
        return {entry["version"]: (entry["state"], entry["status"]["error_code"]) for entry in found}

    def wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not is_so():
            self.check_answers()
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.01)
        self.check_answers()

    def write_config(self, text: str) -> None:
        partial = self.config.with_name("partial")
        partial.write_text(text)
        partial.replace(self.config)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "version"
    write_version(path)
    return path


@pytest.fixture(scope="module")
def live(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    base_path, config = folder / "m", folder / "models.config"
    shutil.copytree(good, base_path / "1")
    config.write_text(config_text(base_path))
    options = ServerOptions(
        config_file=config,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0.02,
        config_poll_seconds=0.02,
        max_load_retries=0,
    )
    with ModelServer(options) as server:
        server.start()
        yield Live(Wire(server), base_path, config, good)


def config_text(base_path: Path, more: str = "") -> str:
    return (
        f'model_config_list {{ config {{ name: "m" base_path: "{base_path}" model_platform: "tensorflow" {more} }} }}'
    )


def cut_model(version: Path) -> None:
    file = version / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-100])


def flip_variables(version: Path) -> None:
    file = version / "variables" / "variables.data-00000-of-00001"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data[:-3]))


def cut_warmup(version: Path) -> None:
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(file.read_bytes()[:-5])


def empty(version: Path) -> None:
    shutil.rmtree(version)
    version.mkdir()


@pytest.mark.parametrize("damage", [cut_model, flip_variables, cut_warmup, empty])
def test_a_damaged_new_version_ends_with_an_error_and_the_old_one_answers_on(
    live: Live, damage: Callable[[Path], None]
) -> None:
    number = max(map(int, (name for name in os.listdir(live.base_path) if name.isdigit()))) + 1
    partial = Path(shutil.copytree(live.good, live.base_path / ".partial"))
    damage(partial)
    partial.rename(live.base_path / str(number))
    live.wait(lambda: live.states().get(str(number), ("", ""))[0] == "END")
    assert live.states()[str(number)][1] in ("DATA_LOSS", "UNKNOWN", "NOT_FOUND", "OUT_OF_RANGE")
    assert live.states()["1"] == ("AVAILABLE", "OK")


def test_a_file_of_versions_that_is_gone_from_under_a_version_changes_nothing(live: Live) -> None:
    file = live.base_path / "1" / "saved_model.pb"
    file.rename(file.with_name("away"))
    live.check_answers()
    file.with_name("away").rename(file)


@pytest.mark.parametrize(
    "text",
    [
        "no proto {",
        "\0\xff",
        "",
        'model_config_list { config { name: "m" } }',
        'model_config_list { config { name: "m" base_path: "/nope" model_platform: "tensorflow" } }',
        'model_config_list { config { name: "m" base_path: "/' + "a" * 5000 + '" model_platform: "tensorflow" } }',
        "custom_model_config {}",
    ],
)
def test_a_config_file_that_becomes_wrong_changes_nothing(
    live: Live, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    live.write_config(text)
    live.wait(lambda: "Reading" in caplog.text)
    live.write_config(config_text(live.base_path))
    live.check_answers()


def test_a_config_file_that_is_gone_changes_nothing(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    live.config.unlink()
    live.wait(lambda: "No such file or directory" in caplog.text)
    live.write_config(config_text(live.base_path))


def test_a_base_path_that_vanishes_or_becomes_a_file_changes_nothing(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    away = live.base_path.with_name("away")
    live.base_path.rename(away)
    live.wait(lambda: "No such file or directory" in caplog.text)
    live.base_path.write_text("a file")
    live.wait(lambda: "Not a directory" in caplog.text)
    live.base_path.unlink()
    away.rename(live.base_path)
    live.wait(lambda: live.states()["1"] == ("AVAILABLE", "OK"))


def test_a_base_path_that_may_not_be_read_changes_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    list_children = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:  # a test that runs as root can read everything
        if path == live.base_path:
            raise PermissionError(13, "Permission denied", str(path))
        return list_children(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    live.wait(lambda: "Permission denied" in caplog.text)
    monkeypatch.undo()
    live.wait(lambda: live.states()["1"] == ("AVAILABLE", "OK"))


def test_files_that_the_system_keeps_from_the_server_change_nothing(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    nobody, was_root = 65534, os.geteuid() == 0
    mode = live.base_path.stat().st_mode
    live.base_path.chmod(0)
    live.config.chmod(0)
    try:
        if was_root:  # who may read everything: ask the system as somebody else
            os.seteuid(nobody)
        live.wait(lambda: caplog.text.count("Permission denied") >= 2)  # the base path, and the config file
        assert "models.config" in caplog.text
    finally:
        if was_root:
            os.seteuid(0)
        live.base_path.chmod(mode)
        live.config.chmod(0o644)
    live.wait(lambda: live.states()["1"] == ("AVAILABLE", "OK"))


def test_a_log_on_a_full_disk_harms_no_request(live: Live) -> None:
    logger = logging.getLogger("tfchain")
    with contextlib.suppress(OSError), open("/dev/full", "w") as full:  # its end cannot be written either
        handler = logging.StreamHandler(full)
        logger.addHandler(handler)
        try:
            number = max(int(name) for name in os.listdir(live.base_path) if name.isdigit()) + 1
            (live.base_path / str(number)).mkdir()  # ends with an error, which is logged
            live.wait(lambda: live.states().get(str(number), ("", ""))[0] == "END")
            with pytest.raises(OSError, match="No space left on device"):
                full.flush()
        finally:
            logger.removeHandler(handler)
    live.check_answers()


def test_random_bytes_on_the_grpc_port_harm_no_call(live: Live) -> None:
    random = Random(1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for number in range(40):
        with socket.create_connection(("127.0.0.1", live.wire.server.grpc_port), timeout=5) as stream:
            settings = b"\0\0\0\4\0\0\0\0\0" if number % 3 == 0 else b""
            stream.sendall((preface + settings if number % 2 else b"") + random.randbytes(random.randint(1, 400)))
    with grpc.insecure_channel(live.wire.grpc_target) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff" * 50, timeout=10)
        # By gRPC's own code: the C++ server says the same of what it cannot parse.
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.serving.PredictionService/Nope")(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=10)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    live.check_answers()


def rss_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_memory_stays_flat_over_many_requests_of_all_kinds(good: Path) -> None:
    from tensorflow_serving.apis import predict_pb2

    manager = Manager(lambda name, version, path: load_saved_model(path))
    manager.set_wanted("m", {1: good})
    assert manager.wait_until_loaded(["m"], 60) == {}
    api, server = RestApi(manager), GrpcServer(manager, addresses=[], num_threads=1)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.extend([1.0, 2.0])
    for size in (1, 2):
        request.inputs["x"].tensor_shape.dim.add(size=size)

    def ask(start: int, count: int) -> None:
        for number in range(start, start + count):
            assert api.answer("POST", PREDICT, {}, BODY.encode()).status == 200
            assert api.answer("POST", f"/v1/models/{'n' * 5000}{number}:predict", {}, b"{}").status == 404
            context: Any = Context(100.0 + number)  # each call has a deadline of its own
            assert server.predict(request, context).outputs["y"].float_val == [21.0]

    ask(0, 1000)
    grown = []  # what earlier tests of this process left to threads may grow once; a leak grows in each round
    for start in range(1000, 4000, 1000):
        before = rss_mb()
        ask(start, 1000)
        grown.append(rss_mb() - before)
    assert min(grown) < 2.5, grown
    manager.close()


def test_memory_stays_flat_over_many_reloads(good: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.symlink_to(good)
    manager = Manager(lambda name, version, path: load_saved_model(path))

    def reload(start: int, count: int) -> None:
        for version in range(start, start + count):
            manager.set_wanted("m", {version: paths[version % 2]})
            deadline = time.monotonic() + 20
            while not manager.is_available("m", version):
                assert time.monotonic() < deadline
                time.sleep(0.002)

    reload(1, 15)
    before = rss_mb()
    reload(16, 35)
    assert rss_mb() - before < 30
    with manager.lend(ModelSpec("m")) as lease:
        assert lease.version == 50
    manager.close()


def test_no_wait_depends_on_the_clock_on_the_wall() -> None:
    # `time.time` jumps when the clock is set; where it is read, its value is only shown.
    found = set()
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("time", "now", "utcnow")
                and ast.unparse(node.value)
                in (
                    "time",
                    "datetime",
                    "datetime.datetime",
                )
            ):
                found.add(path.relative_to(SERVER).as_posix())
    assert found == {"http/connection.py", "metrics/process.py", "observing/answered.py", "text/feedback.py"}


def test_a_clock_that_jumps_hurts_no_request_and_no_wait(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    for jump in (1e9, -1e9):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        live.check_answers()
        assert live.wire.server._manager.wait_until_loaded(["m"], 0.5) == {}


def test_random_bytes_on_ports_with_tls_harm_no_request(secure_wire: Wire) -> None:
    import ssl

    random = Random(2)
    hello = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03"  # the beginning of a TLS handshake
    for number in range(20):
        port = secure_wire.server.rest_port if number % 2 else secure_wire.server.grpc_port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            stream.sendall(
                (hello if number % 3 else b"GET / HTTP/1.1\r\n\r\n") + random.randbytes(random.randint(1, 99))
            )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", secure_wire.server.rest_port), timeout=5)
    with context.wrap_socket(plain) as stream:
        stream.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        assert stream.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
