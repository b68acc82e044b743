"""Limits on TensorFlow Serving's own paths and methods, over both protocols."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.conformance.conftest import Wire
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions

LIMITS = RequestLimits(
    max_body_bytes=2000, max_batch_size=9, max_concurrent_requests=2, max_connections=4, max_rows=3, max_json_depth=5
)
PREDICT = "/v1/models/hpt:predict"


@pytest.fixture(scope="module")
def narrow(base_path: Path) -> Iterator[Wire]:
    options = ServerOptions(
        "hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0, limits=LIMITS, rest_timeout_ms=0
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="module")
def channel(narrow: Wire) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(narrow.grpc_target) as made:
        yield made


def ask_grpc(channel: grpc.Channel, method: str, request: Any) -> Any:
    """Calls a method by its name; returns the response, or the error."""
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    try:
        return getattr(prediction_service_pb2_grpc.PredictionServiceStub(channel), method)(request, timeout=30)
    except grpc.RpcError as error:
        return error


def make_predict(signature: str, name: str, field: str, values: list[Any], dtype: int) -> Any:
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "hpt", signature
    request.inputs[name].dtype = dtype
    request.inputs[name].tensor_shape.dim.add(size=len(values))
    getattr(request.inputs[name], field).extend(values)
    return request


def test_keys_that_nobody_knows_are_ignored_as_by_a_stock_server(wire: Wire) -> None:
    reply = wire.predict('{"instances": [1], "parameters": {"a": [1]}, "id": null}')
    assert (reply.status, json.loads(reply.text)) == (200, {"predictions": [2.5]})
    reply = wire.predict('{"signature_name": "pair", "inputs": {"a": [1], "b": [2], "c": "more"}, "id": 5}')
    assert (reply.status, json.loads(reply.text)) == (200, {"outputs": [3.0]})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PREDICT, {"instances": [1, 2, 3, 4]}),
        (PREDICT, {"instances": ["a", "b", "c", "d"], "signature_name": "shout"}),
        (PREDICT, {"inputs": ["a", "b", "c", "d"], "signature_name": "shout"}),
        ("/v1/models/hpt:classify", {"examples": [{}] * 4}),
        ("/v1/models/hpt:regress", {"examples": [{}] * 4}),
    ],
)
def test_a_request_has_no_more_rows_than_allowed(narrow: Wire, path: str, body: dict[str, Any]) -> None:
    reply = narrow.predict(json.dumps(body), path)
    assert (reply.status, reply.error) == (
        400,
        "A request must have at most 3 rows. Received: 4. Send them in several requests, or start the server with a "
        "larger --max_request_rows.",
    )


def test_as_many_rows_as_allowed_and_numbers_in_columns_are_answered(narrow: Wire) -> None:
    assert narrow.predict('{"instances": [1, 2, 3]}').status == 200
    reply = narrow.predict(json.dumps({"inputs": list(range(100))}))  # one row of another signature may have as many
    assert len(json.loads(reply.text)["outputs"]) == 100


def test_over_grpc_strings_and_examples_are_counted(channel: grpc.Channel) -> None:
    from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

    found = [ask_grpc(channel, "Predict", make_predict("shout", "text", "string_val", [b"a"] * 4, 7))]
    for method, request in (
        ("Classify", classification_pb2.ClassificationRequest()),
        ("Regress", regression_pb2.RegressionRequest()),
    ):
        request.model_spec.name = "hpt"
        for _ in range(4):
            request.input.example_list.examples.add()
        found.append(ask_grpc(channel, method, request))
    several = inference_pb2.MultiInferenceRequest()
    several.tasks.add().model_spec.name = "hpt"
    for _ in range(4):
        several.input.example_list_with_context.examples.add()
    found.append(ask_grpc(channel, "MultiInference", several))
    for error in found:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith("A request must have at most 3 rows. Received: 4.")
    numbers = ask_grpc(channel, "Predict", make_predict("", "x", "float_val", [1.0] * 100, 1))
    assert len(numbers.outputs["y"].float_val) == 100


def test_a_gzip_body_is_unpacked_up_to_the_limit(narrow: Wire) -> None:
    body = b'{"instances": [1.0]}'
    packed = gzip.compress(body + b" " * (2000 - len(body)))
    assert narrow.http("POST", PREDICT, packed, {"Content-Encoding": "gzip"}).status == 200


def test_a_body_is_no_larger_and_no_deeper_than_allowed(narrow: Wire) -> None:
    large = json.dumps({"instances": ["a" * 2000], "signature_name": "shout"}).encode()
    for body, headers in ((large, {}), (gzip.compress(large), {"Content-Encoding": "gzip"})):
        reply = narrow.http("POST", PREDICT, body, headers)
        assert reply.status == 413
        assert reply.error == "A request's body must have at most 2000 bytes. Send less at a time."
    assert narrow.predict('{"instances": [[[[[1]]]]]}').error == (
        "JSON Parse error: The document is nested too deeply: at most 5 levels of lists and objects."
    )
    assert json.loads(narrow.predict('{"instances": [[[[1]]]]}').text) == {"predictions": [[[[2.5]]]]}


def test_one_gate_is_for_both_protocols(narrow: Wire, channel: grpc.Channel) -> None:
    gate, text = narrow.server._gate, "The server is overloaded: 2 requests are running or waiting. Try again."
    gate.enter(), gate.enter()
    try:
        reply = narrow.predict('{"instances": [1]}')
        assert (reply.status, reply.headers["retry-after"], reply.error) == (429, "1", text)
        error = ask_grpc(channel, "Predict", make_predict("", "x", "float_val", [1.0], 1))
        assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        assert narrow.http("POST", "/v1/embeddings", b"{}").status == 429
        assert narrow.http("GET", "/v1/models/hpt").status == 200
    finally:
        gate.leave(), gate.leave()
    request = make_predict("", "x", "float_val", [1.0], 1)
    for _ in range(3):  # no refusal has been counted in, and each answer counts out
        assert narrow.predict('{"instances": [1]}').status == 200
        assert ask_grpc(channel, "Predict", request).outputs["y"].float_val == [2.5]


def test_silent_connections_keep_nobody_out(narrow: Wire, channel: grpc.Channel) -> None:
    request = make_predict("", "x", "float_val", [1.0], 1)
    assert ask_grpc(channel, "Predict", request).outputs["y"].float_val == [2.5]
    ports = (narrow.server.rest_port, narrow.server.grpc_port)
    flood = [socket.create_connection(("127.0.0.1", port), timeout=10) for port in ports for _ in range(20)]
    assert narrow.predict('{"instances": [1]}').status == 200
    assert ask_grpc(channel, "Predict", request).outputs["y"].float_val == [2.5]
    assert flood[-1].recv(100) == b""  # gRPC closes what is too many at once
    for stream in flood:
        stream.close()


def test_a_time_limit_of_zero_is_none(narrow: Wire) -> None:
    assert narrow.predict('{"inputs": 1, "signature_name": "slow"}').status == 200
