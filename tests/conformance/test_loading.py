"""Loading versions: what fails a load, warm-up records, and a new version taken up by a running server."""

import shutil
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from tests.conformance.conftest import VERSION, Wire
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions, SavedModelServable, load_saved_model
from tfchain.deployment.server.servables.session import GraphSession
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.warmup import run_warmup


def write_warmup(version_path: Path, *requests: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    folder = version_path / "assets.extra"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
                if request is not None
                else prediction_log_pb2.PredictLog()
            )
            writer.write(log.SerializeToString())


def warmup_request(signature: str, **inputs: np.ndarray) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@pytest.fixture
def version_path(base_path: Path, tmp_path: Path) -> Path:
    """A copy of the version that a test may change."""
    copy: Path = shutil.copytree(base_path / str(VERSION), tmp_path / "base" / "5")
    return copy


def options(base_path: Path, **changes: Any) -> ServerOptions:
    return ServerOptions("m", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, max_load_retries=0, **changes)


def test_warmup_records_are_run(version_path: Path) -> None:
    ones = np.ones(3, np.float32)
    write_warmup(version_path, warmup_request("", x=ones), warmup_request("two", x=ones))
    servable = load_saved_model(version_path)
    run = MagicMock(wraps=servable.run)
    servable.run = run  # type: ignore[method-assign]
    assert run_warmup(servable, version_path, num_iterations=3) == 2
    assert [call.args[0].name for call in run.call_args_list] == ["serving_default"] * 3 + ["two"] * 3
    servable.close()


def test_the_options_of_a_run_with_a_deadline_are_freed(base_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorflow.python.client import pywrap_tf_session

    servable = load_saved_model(base_path / str(VERSION))
    make, free = pywrap_tf_session.TF_NewBufferFromString, pywrap_tf_session.TF_DeleteBuffer
    made: list[Any] = []
    freed: list[Any] = []
    monkeypatch.setattr(pywrap_tf_session, "TF_NewBufferFromString", lambda value: made.append(make(value)) or made[-1])
    monkeypatch.setattr(pywrap_tf_session, "TF_DeleteBuffer", lambda buffer: freed.append(buffer) or free(buffer))
    for timeout_ms in (12_345, 12_346):
        servable.run(servable.signatures["two"], {"x": np.ones(1, np.float32)}, ["double"], timeout_ms)
    with pytest.raises(StatusError):
        servable.run(servable.signatures["matrix"], {"x": np.ones((1, 3), np.float32)}, ["y"], 12_347)
    assert len(made) == 3
    assert [any(buffer is each for each in freed) for buffer in made] == [True] * 3
    servable.close()


def test_more_warmup_records_than_the_maximum_fail_the_load(
    version_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_warmup(version_path, *[warmup_request("", x=np.ones(1, np.float32))] * 3)
    servable = load_saved_model(version_path)
    monkeypatch.setattr("tfchain.deployment.server.warmup.MAX_RECORDS", 3)
    assert run_warmup(servable, version_path) == 3
    monkeypatch.setattr("tfchain.deployment.server.warmup.MAX_RECORDS", 2)
    with pytest.raises(StatusError, match=r"INVALID_ARGUMENT: Number of warmup records exceeds the maximum \(2\)"):
        run_warmup(servable, version_path)
    servable.close()


def test_a_failing_warmup_record_fails_the_load(version_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_warmup(version_path, warmup_request("xla", x=np.ones(3, np.float32)))
    close = MagicMock(side_effect=SavedModelServable.close, autospec=True)
    monkeypatch.setattr(SavedModelServable, "close", lambda self: close(self))
    with ModelServer(options(version_path.parent)) as server, pytest.raises(ServerError) as caught:
        server.start()
    assert close.call_count == 1  # what was loaded for it is given back
    assert str(caught.value) == (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{name: m version: 5} due to error: INTERNAL: XLA compilation disabled, }"
    )
    with ModelServer(options(version_path.parent, has_warmup=False, poll_seconds=0)) as server:
        server.start()
        assert server.rest_port


def test_an_unreadable_warmup_file_fails_the_load(version_path: Path) -> None:
    (version_path / "assets.extra").mkdir()
    (version_path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no records at all")
    servable = load_saved_model(version_path)
    with pytest.raises(StatusError, match="DATA_LOSS"):
        run_warmup(servable, version_path)
    servable.close()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as caught:
        load_saved_model(tmp_path)
    assert str(caught.value).startswith(
        f"NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}"
    )


def test_wrong_tags_are_named(version_path: Path) -> None:
    with pytest.raises(
        StatusError, match=r"NOT_FOUND: Could not find meta graph def matching supplied tags: \{ gpu \}"
    ):
        load_saved_model(version_path, LoadOptions(tags=("gpu",)))


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_damaged_version_is_an_error_and_no_crash(version_path: Path, name: str) -> None:
    (version_path / name).write_bytes(b"\xff\xff\xff")
    with pytest.raises(StatusError):
        load_saved_model(version_path)


def test_the_public_session_gives_the_same_answers_and_errors(base_path: Path) -> None:
    servable = load_saved_model(base_path / str(VERSION))
    session = servable._session
    public = GraphSession(session._session)
    public._is_raw = False
    signature = servable.signatures["serving_default"]
    values = np.array([1.0, 5.0], np.float32)
    feed, fetch = signature.inputs["x"].tensor_name, signature.outputs["y"].tensor_name
    for engine in (session, public):
        (found,) = engine.run({engine.tensor(feed): values}, [engine.tensor(fetch)], 10_000)
        assert found.tolist() == [2.5, 4.5]
        with pytest.raises(StatusError) as caught:
            engine.run({engine.tensor(feed): values.astype(np.float64)}, [engine.tensor(fetch)], None)
        assert str(caught.value) == "INVALID_ARGUMENT: Expects arg[0] to be float but double is provided"
        with pytest.raises(StatusError, match="was not found in the Graph"):
            engine.tensor("nope:0")
    servable.close()


def test_of_one_base_path_two_servers_serve_each_its_own_source(version_path: Path) -> None:
    for version, source in ((8, None), (7, "a"), (6, "b"), (5, "a")):
        path = version_path.parent / str(version)
        if path != version_path:
            shutil.copytree(version_path, path)
        if source is not None:
            (path / "assets.extra").mkdir()
            (path / "assets.extra" / "tfchain.json").write_text(f'{{"source": "{source}"}}')
    for source, served in (("a", "7"), ("b", "6"), ("", "8")):
        with ModelServer(options(version_path.parent, poll_seconds=0, version_source=source)) as server:
            server.check()
            server.start()
            status = _json(Wire(server).http("GET", "/v1/models/m").text)
            assert [entry["version"] for entry in status["model_version_status"]] == [served]
    with pytest.raises(InputError, match="must hold a version folder .* of the source 'c'"):
        ModelServer(options(version_path.parent, version_source="c")).check()


def test_a_base_path_that_cannot_serve_is_found_before_loading(tmp_path: Path, wire: Wire) -> None:
    with pytest.raises(InputError, match="must hold a version folder"):
        ModelServer(options(tmp_path)).check()
    with pytest.raises(InputError, match="No such file"):
        ModelServer(options(tmp_path / "nope")).check()
    taken = ServerOptions("m", tmp_path, host="127.0.0.1", grpc_port=wire.server.grpc_port)
    with pytest.raises(ServerError, match=f"Port {wire.server.grpc_port} on 127.0.0.1 cannot be opened"):
        ModelServer(taken).check()


def test_a_new_version_is_taken_up_and_the_old_one_unloaded(version_path: Path) -> None:
    with ModelServer(options(version_path.parent, poll_seconds=0.02)) as server:
        server.start()
        wire = Wire(server)
        partial = shutil.copytree(version_path, version_path.parent / ".partial-6")
        partial.rename(version_path.parent / "6")
        deadline = time.monotonic() + 20
        while True:
            assert wire.predict('{"instances": [1]}', "/v1/models/m:predict").status == 200
            reply = wire.http("GET", "/v1/models/m")
            states = {entry["version"]: entry["state"] for entry in _json(reply.text)["model_version_status"]}
            if states == {"6": "AVAILABLE", "5": "END"}:
                break
            assert time.monotonic() < deadline, states
            time.sleep(0.02)
        gone = wire.predict('{"instances": [1]}', "/v1/models/m/versions/5:predict")
        assert (gone.status, gone.error) == (404, "Servable not found for request: Specific(m, 5)")


def test_a_stopped_server_has_closed_its_ports(version_path: Path) -> None:
    server = ModelServer(options(version_path.parent, poll_seconds=0))
    server.start()
    assert Wire(server).http("GET", "/v1/models/m").status == 200
    server.close()
    with pytest.raises(ConnectionRefusedError):
        Wire(server).http("GET", "/v1/models/m")


def _json(text: str) -> Any:
    import json

    return json.loads(text)
