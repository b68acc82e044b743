"""Metrics: TensorFlow Serving's names and rules of counting on the wire, and tfchain's own endpoints."""

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.conformance.conftest import VERSION, Wire
from tests.conformance.test_grpc import Stubs
from tests.conformance.test_loading import warmup_request, write_warmup
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.server.http.monitoring import read_prometheus_path
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions

STOCK = "/stock/metrics"
REQUESTS = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency_count"
RUNTIME = ":tensorflow:serving:runtime_latency_count"


@pytest.fixture(scope="module")
def stubs(watched_wire: Wire) -> Iterator[Stubs]:
    made = Stubs(watched_wire.grpc_target)
    yield made
    made.channel.close()


def read(wire: Wire, path: str = STOCK) -> dict[str, float]:
    """The samples of a page: name with labels → value."""
    lines = wire.http("GET", path).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class Change:
    """What a block changes in the samples."""

    def __init__(self, wire: Wire, path: str = STOCK) -> None:
        self._wire = wire
        self._path = path
        self._before: dict[str, float] = {}
        self.found: dict[str, float] = {}

    def __enter__(self) -> "Change":
        self._before = read(self._wire, self._path)
        return self

    def __exit__(self, *_: object) -> None:
        after = read(self._wire, self._path)
        self.found = {
            name: value - self._before.get(name, 0) for name, value in after.items() if value != self._before.get(name)
        }

    def of(self, metric: str) -> dict[str, float]:
        return {name.removeprefix(metric): value for name, value in self.found.items() if name.startswith(metric + "{")}


def rest_labels(api: str) -> str:
    return f'{{model_name="hpt",API="{api}",entrypoint="REST"}}'


def test_a_rest_prediction_is_counted_and_measured(watched_wire: Wire) -> None:
    with Change(watched_wire) as change:
        assert watched_wire.predict('{"instances": [1, 2]}').status == 200
    assert change.of(REQUESTS) == {'{model_name="hpt",status="OK"}': 1}
    assert change.of(LATENCY) == {rest_labels("predict"): 1}
    assert change.of(RUNTIME) == {'{model_name="hpt",API="Predict",runtime="TF1"}': 1}
    assert change.of(":tensorflow:core:graph_runs") == {"{}": 1}
    run_micros = change.of(":tensorflow:core:graph_run_time_usecs")["{}"]
    whole_micros = change.of(":tensorflow:serving:request_latency_sum")[rest_labels("predict")]
    assert 0 < run_micros < whole_micros < 10_000_000


def test_a_grpc_prediction_is_counted_and_measured(watched_wire: Wire, stubs: Stubs) -> None:
    with Change(watched_wire) as change:
        stubs.prediction.Predict(stubs.request({"x": np.ones(2, np.float32)}))
    assert change.of(REQUESTS) == {'{model_name="hpt",status="OK"}': 1}
    assert change.of(LATENCY) == {'{model_name="hpt",API="Predict",entrypoint="GRPC"}': 1}
    assert change.of(RUNTIME) == {'{model_name="hpt",API="Predict",runtime="TF1"}': 1}


@pytest.mark.parametrize(("verb", "api"), [("classify", "Classify"), ("regress", "Regress")])
def test_classify_and_regress_are_counted_and_measured(graph: Any, verb: str, api: str) -> None:
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    signature = "serving_default" if verb == "classify" else "regress"
    with Change(graph.wire, "/metrics") as change:
        graph.results(verb, [{"x": 0.5}, {"x": 0.25}], signature)
    assert change.of(REQUESTS) == {'{model_name="graph",status="OK"}': 1}
    assert change.of(LATENCY) == {f'{{model_name="graph",API="{verb}",entrypoint="REST"}}': 1}
    runtime = {f'{{model_name="graph",API="{api}",runtime="TF1"}}': 1}
    assert change.of(RUNTIME) == runtime
    is_classify = verb == "classify"
    request: Any = classification_pb2.ClassificationRequest() if is_classify else regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "graph", signature
    request.input.example_list.examples.add()
    with Change(graph.wire, "/metrics") as change:
        graph.call(api, request)
        request.model_spec.signature_name = "nope"
        graph.error(api, request)
    ok, wrong = '{model_name="graph",status="OK"}', '{model_name="graph",status="INVALID_ARGUMENT"}'
    assert change.of(REQUESTS) == {ok: 1, wrong: 1}
    assert change.of(LATENCY) == {f'{{model_name="graph",API="{api}",entrypoint="GRPC"}}': 1}
    assert change.of(RUNTIME) == runtime
    assert change.of(":tensorflow:core:graph_runs") == {"{}": 1}


def test_of_a_multi_inference_only_the_examples_and_the_run_are_counted(graph: Any) -> None:
    from tensorflow_serving.apis import inference_pb2

    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("serving_default", "classify"), ("regress", "regress")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "graph", signature
    for _ in range(3):
        request.input.example_list.examples.add()
    with Change(graph.wire, "/metrics") as change:
        graph.call("MultiInference", request)
    assert change.of(":tensorflow:serving:request_example_count_total") == {'{model="graph"}': 3}
    assert change.of(":tensorflow:serving:request_example_counts_count") == {'{model="graph"}': 1}
    assert change.of(":tensorflow:core:graph_runs") == {"{}": 1}
    assert change.of(REQUESTS) == change.of(LATENCY) == change.of(RUNTIME) == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "model", "status"),
    [
        ("POST", "/v1/models/hpt:predict", b"{", "hpt", "INVALID_ARGUMENT"),
        ("POST", "/v1/models/hpt:predict", b'{"signature_name": "xla", "instances": [1]}', "hpt", "INTERNAL"),
        ("POST", "/v1/models/nope:predict", b'{"instances": [1]}', "nope", "NOT_FOUND"),
        ("GET", "/v1/models/nope", None, "nope", "NOT_FOUND"),
        ("GET", "/v1/models/hpt/versions/9/metadata", None, "hpt", "NOT_FOUND"),
        ("GET", "/V1/models", None, "", "INVALID_ARGUMENT"),
        ("PUT", "/v1/models/hpt", None, "", "INVALID_ARGUMENT"),
        ("POST", "/v1/models/hpt:bogus", b"", "", "INVALID_ARGUMENT"),
    ],
)
def test_a_failed_rest_call_is_counted_by_its_status_and_not_measured(
    watched_wire: Wire, method: str, path: str, body: bytes | None, model: str, status: str
) -> None:
    with Change(watched_wire) as change:
        watched_wire.http(method, path, body)
    assert change.of(REQUESTS) == {f'{{model_name="{model}",status="{status}"}}': 1}
    assert change.of(LATENCY) == {}


@pytest.mark.parametrize("path", ["/v1/models/hpt", "/v1/models/hpt/metadata"])
def test_status_and_metadata_over_rest_are_counted_without_an_api(watched_wire: Wire, path: str) -> None:
    with Change(watched_wire) as change:
        assert watched_wire.http("GET", path).status == 200
    assert change.of(REQUESTS) == {'{model_name="hpt",status="OK"}': 1}
    assert change.of(LATENCY) == {rest_labels(""): 1}
    assert change.of(RUNTIME) == {}


def test_a_failed_grpc_prediction_is_counted_by_its_status(watched_wire: Wire, stubs: Stubs) -> None:
    from tensorflow_serving.apis import predict_pb2

    with Change(watched_wire) as change:
        assert stubs.error(stubs.request({}, "nope"))[0] == "FAILED_PRECONDITION"
        assert stubs.error(stubs.request({}, name="nope"))[0] == "NOT_FOUND"
        assert stubs.error(predict_pb2.PredictRequest())[0] == "INVALID_ARGUMENT"
    assert change.of(REQUESTS) == {
        '{model_name="hpt",status="FAILED_PRECONDITION"}': 1,
        '{model_name="nope",status="NOT_FOUND"}': 1,
        '{model_name="",status="INVALID_ARGUMENT"}': 1,
    }
    assert change.of(LATENCY) == {}


def test_status_and_metadata_over_grpc_are_not_counted(watched_wire: Wire, stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    status = get_model_status_pb2.GetModelStatusRequest()
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    status.model_spec.name = metadata.model_spec.name = "hpt"
    with Change(watched_wire) as change:
        stubs.model.GetModelStatus(status)
        stubs.prediction.GetModelMetadata(metadata)
    assert change.found == {}


def test_paths_outside_the_api_are_not_counted(watched_wire: Wire) -> None:
    with Change(watched_wire) as change:
        for path in ("/nope", "/live", "/ready", "/metrics"):
            watched_wire.http("GET", path)
    assert change.found == {}


def test_the_page_is_written_as_a_stock_server_writes_it(watched_wire: Wire) -> None:
    watched_wire.predict('{"instances": [1]}')
    reply = watched_wire.http("GET", STOCK)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain")
    lines = reply.text.splitlines()
    assert all(re.fullmatch(r"# TYPE \S+ (counter|gauge|histogram)", line) for line in lines if line.startswith("#"))
    names = [line.split()[2] for line in lines if line.startswith("#")]
    assert names == sorted(names)
    assert "# TYPE :tensorflow:serving:request_example_counts histogram" in lines  # without a value yet
    latency = [
        line for line in lines if line.startswith(":tensorflow:serving:request_latency_bucket") and "predict" in line
    ]
    limits = [re.search(r',le="([^"]+)"\} \d+$', line)[1] for line in latency]  # type: ignore[index]
    assert limits[:6] == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert limits[-2:] == ["1.47476e+09", "+Inf"]
    assert len(limits) == 33 + 1
    counts = [int(line.rpartition(" ")[2]) for line in latency]
    assert counts == sorted(counts)
    assert f"{LATENCY}{rest_labels('predict')} {counts[-1]}" in lines


def test_the_page_answers_any_method_and_refuses_a_query(watched_wire: Wire) -> None:
    assert watched_wire.http("POST", STOCK, b"x").text.startswith("# TYPE ")
    reply = watched_wire.http("GET", STOCK + "?a=b")
    assert (reply.status, reply.headers["content-type"]) == (400, "text/plain")
    assert reply.text == "Unexpected path: /stock/metrics?a=b. Should be /stock/metrics"


def test_a_name_with_quotes_and_lines_is_escaped(watched_wire: Wire) -> None:
    watched_wire.http("GET", "/v1/models/a%22b%5C%0Ac")
    sample = REQUESTS + r'{model_name="a\"b\\\nc",status="NOT_FOUND"} 1'
    assert sample in watched_wire.http("GET", STOCK).text.splitlines()


def test_without_the_file_only_tfchains_own_page_is_served(wire: Wire) -> None:
    assert wire.http("GET", "/monitoring/prometheus/metrics").status == 404
    reply = wire.http("GET", "/metrics")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_tfchains_own_page_has_the_same_metrics_help_and_the_process(watched_wire: Wire) -> None:
    own, stock = read(watched_wire, "/metrics"), read(watched_wire)
    assert stock.items() <= own.items()
    assert 10e6 < own["process_resident_memory_bytes"] < own["process_virtual_memory_bytes"]
    assert own["process_cpu_seconds_total"] > 0
    assert own["process_open_fds"] > 3
    lines = watched_wire.http("GET", "/metrics").text.splitlines()
    assert "# HELP :tensorflow:serving:request_count The total number of requests." in lines
    assert "# TYPE process_resident_memory_bytes gauge" in lines


def test_loads_and_warm_up_are_measured_by_path(base_path: Path, tmp_path: Path) -> None:
    good = shutil.copytree(base_path / str(VERSION), tmp_path / "base" / "1")
    write_warmup(good, warmup_request("", x=np.ones(3, np.float32)), warmup_request("two", x=np.ones(3, np.float32)))
    options = ServerOptions("hpt", tmp_path / "base", host="127.0.0.1", grpc_port=0, rest_port=0, max_load_retries=0)
    with ModelServer(replace(options, poll_seconds=0)) as server:
        server.start()
        found = read(Wire(server), "/metrics")
    labels = f'{{model_path="{good}",status="OK"}}'
    assert found[f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{good}",status="success"}}'] == 1
    assert found[f':tensorflow:cc:saved_model:load_latency{{model_path="{good}"}}'] > 0
    assert found[f":tensorflow:serving:model_warmup_latency_count{labels}"] == 1
    assert found[f":tensorflow:serving:model_warmup_latency_sum{labels}"] > 0
    assert found[f":tensorflow:serving:model_warmup_records_read{labels}"] == 2
    (good / "saved_model.pb").write_bytes(b"\xff")
    server = ModelServer(options)
    with server, pytest.raises(ServerError):
        server.start()
    (failed,) = [metric for metric in server.metrics.registry.metrics() if metric.name.endswith("load_attempt_count")]
    assert [(labels, cell.value) for labels, cell in failed.cells()] == [((str(good), "fail"), 1)]  # type: ignore


def test_a_server_is_live_and_ready(watched_wire: Wire) -> None:
    live, ready = watched_wire.http("GET", "/live"), watched_wire.http("GET", "/ready")
    assert (live.status, live.text) == (200, "live\n")
    assert (ready.status, ready.text) == (200, '{"status": "ready", "models": {"hpt": true}}')
    assert (watched_wire.http("HEAD", "/ready").status, watched_wire.http("HEAD", "/ready").text) == (200, "")


def test_another_method_is_not_allowed(watched_wire: Wire) -> None:
    reply = watched_wire.http("POST", "/live", b"")
    assert (reply.status, reply.headers["allow"], reply.error) == (405, "GET", "/live takes GET. Received: POST.")


def test_a_server_without_an_available_version_is_live_and_not_ready(base_path: Path, tmp_path: Path) -> None:
    version = shutil.copytree(base_path / str(VERSION), tmp_path / "base" / "1")
    options = ServerOptions("hpt", tmp_path / "base", host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0.02)
    with ModelServer(options) as server:
        server.start()
        wire = Wire(server)
        assert wire.http("GET", "/ready").status == 200
        shutil.rmtree(version)
        deadline = time.monotonic() + 20
        while (reply := wire.http("GET", "/ready")).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (reply.status, reply.text) == (503, '{"status": "loading", "models": {"hpt": false}}')
        assert wire.http("GET", "/live").status == 200
        assert not server.readiness().is_stopping
    assert server.readiness().is_stopping


def test_a_call_that_is_refused_by_grpc_is_not_counted(watched_wire: Wire) -> None:
    with (
        Change(watched_wire) as change,
        grpc.insecure_channel(watched_wire.grpc_target) as channel,
        pytest.raises(grpc.RpcError),
    ):
        channel.unary_unary("/tensorflow.serving.PredictionService/Nope")(b"", timeout=10)
    assert change.found == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("prometheus_config { enable: false }", None),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config: { enable: true, path: "/m" }', "/m"),
    ],
)
def test_the_monitoring_file_says_where_metrics_are(tmp_path: Path, text: str, expected: str | None) -> None:
    (tmp_path / "m").write_text(text)
    assert read_prometheus_path(tmp_path / "m") == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("prometheus_config { enabled: true }", "(?s)Invalid protobuf file: .*MonitoringConfig: 1:21"),
        ('prometheus_config { enable: true path: "m" }', "`path` in .* must begin with /"),
    ],
)
def test_a_wrong_monitoring_file_stops_the_start(base_path: Path, tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "m").write_text(text)
    ports: Any = PortOptions(monitoring_config_file=str(tmp_path / "m"))
    with pytest.raises(InputError, match=error):
        ModelServer(ServerOptions("hpt", base_path, grpc_port=0, ports=ports)).check()
