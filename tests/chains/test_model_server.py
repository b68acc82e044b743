"""The program `tfchain-model-server` with the int8 kernels: a process without TensorFlow, over both protocols."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.native_version import DOCUMENTS, TOP_K, NativeVersion
from tfchain import NeuralSearchChain
from tfchain.chains.model_server import PROGRAM, main
from tfchain.chains.search_client import Client
from tfchain.core.errors import InputError
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.deploy import Deployment, deploy

TEXTS = ["who runs", "你好", "a dog", "stocks fell on monday " * 10, "[MASK] the cat!"]
PROTOCOLS = ("rest", "grpc")

# Starts the server in its own process as `main` does, and prints what is imported after each kind of request.
SERVE = """
import http.client, json, sys
from pathlib import Path
import grpc
from tfchain.chains.model_server import find_obstacle, load
from tfchain.core.native import NativeEngine
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.runtime.tf_protos import load_serving_protos

def list_imported():
    heavy = {"tensorflow", "keras", "transformers", "scipy", "opentelemetry"}
    return sorted({name.partition(".")[0] for name in sys.modules} & heavy)

def post(body):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=120)
    connection.request("POST", "/v1/models/docs:predict", json.dumps(body))
    return json.loads(connection.getresponse().read())

def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=120)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())

def ask(name, output_filter=()):
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = "docs", name
    request.inputs["text"].dtype = 7
    request.inputs["text"].tensor_shape.dim.add().size = 1
    request.inputs["text"].string_val.append(b"a dog")
    return stub.Predict(request)

load_serving_protos()
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
options = ServerOptions(
    "docs", Path(sys.argv[1]), host="127.0.0.1", grpc_port=0, rest_port=0, max_load_retries=0,
    load=LoadOptions(engine="native"), native=NativeEngine(find_obstacle, load),
)
with ModelServer(options) as server:
    server.start()
    report = {"started": list_imported()}
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}"))
    report["rest"] = post({"instances": ["a dog"]})
    report["embedded"] = post({"signature_name": "embed", "instances": ["a dog"]})
    report["status"] = get("/v1/models/docs")
    report["metadata"] = get("/v1/models/docs/metadata")
    report["unknown"] = post({"signature_name": "nope", "instances": ["a"]})
    report["wrong"] = post({"instances": [1]})
    report["filtered"] = [value.decode() for value in ask("search", ["ids"]).outputs["ids"].string_val]
    report["filtered outputs"] = sorted(ask("search", ["ids"]).outputs)
    report["answered"] = list_imported()
    report["ids"] = post({"signature_name": "embed_ids", "instances": [{"token_ids": [2, 3], "padding_mask": [1, 1]}]})
    report["grpc after TensorFlow"] = sorted(ask("serving_default").outputs)
    report["loaded"] = list_imported()
    print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(native_version: NativeVersion) -> dict[str, Any]:
    """What the server of one process said, and what it had imported."""
    command = [sys.executable, "-c", SERVE, str(native_version.path.parent)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_start_and_native_answers_import_no_tensorflow(report: dict[str, Any]) -> None:
    assert report["started"] == []
    assert report["answered"] == []
    assert report["rest"]["predictions"][0]["ids"][:2] == ["4", "5"]
    assert len(report["embedded"]["predictions"][0]) == 64


def test_status_metadata_and_errors_of_a_request_need_no_tensorflow(report: dict[str, Any]) -> None:
    assert report["status"]["model_version_status"][0]["state"] == "AVAILABLE"
    signatures = report["metadata"]["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "search", "embed", "embed_ids"} <= set(signatures)
    assert signatures["serving_default"]["inputs"]["text"]["dtype"] == "DT_STRING"
    assert report["unknown"]["error"] == 'Serving signature name: "nope" not found in signature def'
    assert "Type: Number is not of expected type: string" in report["wrong"]["error"]


def test_output_filters_hold(report: dict[str, Any]) -> None:
    assert report["filtered outputs"] == ["ids"]
    assert report["filtered"][:2] == ["4", "5"]


def test_a_request_of_token_ids_loads_tensorflow_and_both_answer_from_then_on(report: dict[str, Any]) -> None:
    assert "tensorflow" in report["loaded"]
    assert len(report["ids"]["predictions"][0]) == 64
    assert report["grpc after TensorFlow"] == ["ids", "scores", "texts"]


@pytest.fixture(scope="module")
def deployment(native_version: NativeVersion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with deploy(
        native_version.path.parent,
        model_name="docs",
        engine="native",
        program=PROGRAM,
        log_path=log,
        client_type=Client,
    ) as made:
        yield made
    assert "The native engine answers embed, search, search_filtered, serving_default, tokenize of" in log.read_text()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_deployed_server_answers_as_python(
    deployment: Deployment, native_version: NativeVersion, protocol: Any
) -> None:
    expected = native_version.index.search(native_version.text_encoder.encode_query(TEXTS), TOP_K)
    with deployment.client() as client:
        found = client.search(TEXTS, model="docs", protocol=protocol)  # type: ignore[attr-defined]
        vectors = client.predict({"text": TEXTS}, model="docs", signature="embed", protocol=protocol)["embedding"]
    assert [[hit.id for hit in result.hits] for result in found] == [[hit.id for hit in hits] for hits in expected]
    assert [[hit.text for hit in result.hits] for result in found] == [[hit.text for hit in hits] for hits in expected]
    scores = np.array([[hit.score for hit in result.hits] for result in found], "float32")
    assert np.array_equal(scores, np.array([[hit.score for hit in hits] for hits in expected], "float32"))
    assert np.array_equal(np.asarray(vectors, "float32"), native_version.text_encoder.encode(TEXTS))
    assert DOCUMENTS[int(found[0].hits[0].id)] == found[0]["answer"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_wrong_name_of_an_input_is_the_stock_servers_error(deployment: Deployment, protocol: Any) -> None:
    with deployment.client() as client, pytest.raises(RequestError):
        client.predict({"words": ["a"]}, model="docs", protocol=protocol)


@pytest.mark.parametrize("engine", ["native", "auto"])
def test_without_the_kernels_native_is_an_error_at_start_that_says_why(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tfchain.models.native_library.find_obstacle", lambda: "the processor is too old")
    arguments = [f"--model_base_path={tmp_path}", f"--engine={engine}", "--choose_ports"]
    monkeypatch.setattr("tfchain.deployment.server.main.silence_tensorflow", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(arguments) == 255
    is_refused = "cannot run here: the processor is too old. Received: --engine=native" in capsys.readouterr().err
    assert is_refused == (engine == "native")  # with `auto` it is the empty base path that is named


def test_an_unknown_engine_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfchain.deployment.server.main.silence_tensorflow", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["--model_base_path=/x", "--engine=onnx"]) == 255
    assert "`engine` must be one of auto, tensorflow, litert, native" in capsys.readouterr().err


def test_a_chain_in_float32_cannot_be_deployed_natively(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    with pytest.raises(InputError, match=r"`engine` 'native' cannot serve this chain here: .* in float32, not in int8"):
        chain.deploy(tmp_path / "versions", engine="native")
    assert not (tmp_path / "versions").exists()


def test_an_engine_beside_the_older_switch_is_refused(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    with pytest.raises(InputError, match="`prefer_tflite_model` means engine='litert'"):
        chain.deploy(tmp_path / "versions", engine="auto", prefer_tflite_model=True)


def test_numpy_is_imported_after_its_threads_are_limited() -> None:
    code = """
import os, sys
os.environ.pop("OPENBLAS_NUM_THREADS", None)
from tfchain.chains.model_server import main
assert "numpy" not in sys.modules
assert main(["--version"]) == 0
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)
