"""Signatures of every kind in one SavedModel, over both protocols: none takes the others down."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.conformance.any_models import SLEEP_SECONDS, ask, make_functions, sample
from tests.conformance.conftest import Reply, Wire
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.dtypes import BY_NUMBER
from tfchain.deployment.server.servables.saved_model import load_saved_model
from tfchain.deployment.server.status import StatusError

X = np.array([1.0, 2.0], np.float32)
EMPTY = "Tensor :0, specified in either feed_devices or fetch_devices was not found in the Graph: "
IN_JSON = {"float", "double", "int32", "uint8", "int16", "int8", "string", "int64", "bool", "uint32", "uint64"}


class Asker:
    """A running server, asked over gRPC and REST."""

    def __init__(self, server: ModelServer) -> None:
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self.wire = Wire(server)
        self.channel = grpc.insecure_channel(
            self.wire.grpc_target,
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def grpc(self, signature: str, *filtered: str, timeout: float = 30.0, **inputs: Any) -> dict[str, Any]:
        import tensorflow as tf
        from tensorflow.core.framework import tensor_pb2
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest(output_filter=filtered)
        request.model_spec.name, request.model_spec.signature_name = "any", signature
        for name, value in inputs.items():
            is_proto = isinstance(value, tensor_pb2.TensorProto)
            request.inputs[name].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
        return dict(self.stub.Predict(request, timeout=timeout).outputs)

    def values(self, signature: str, *filtered: str, **inputs: Any) -> dict[str, Any]:
        import tensorflow as tf

        outputs = self.grpc(signature, *filtered, **inputs)
        return {name: tf.make_ndarray(output).tolist() for name, output in outputs.items()}

    def error(self, signature: str, *filtered: str, **inputs: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.grpc(signature, *filtered, **inputs)
        return caught.value.code().name, caught.value.details()

    def rest(self, signature: str, values: Any, key: str = "inputs") -> Reply:
        body = json.dumps({"signature_name": signature, key: values})
        return self.wire.predict(body, "/v1/models/any:predict")

    def answer(self, signature: str, values: Any, key: str = "inputs") -> Any:
        reply = self.rest(signature, values, key)
        assert reply.status == 200, reply.text
        return json.loads(reply.text)["outputs" if key == "inputs" else "predictions"]


@pytest.fixture(scope="module")
def version_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    path = tmp_path_factory.mktemp("any") / "1"
    module, functions = make_functions()
    tf.saved_model.save(module, str(path), signatures=functions)
    return path


@pytest.fixture(scope="module")
def asker(version_path: Path) -> Iterator[Asker]:
    options = ServerOptions("any", version_path.parent, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    with ModelServer(options) as server:
        server.start()
        made = Asker(server)
        yield made
        made.channel.close()


def test_a_signature_without_inputs_answers_over_grpc_and_keeps_its_state(asker: Asker) -> None:
    first = asker.values("count")["n"]
    assert asker.values("count") == {"n": first + 1}
    for key, values in (("inputs", {}), ("instances", [{}])):
        reply = asker.rest("count", values, key)
        assert (reply.status, reply.error) == (400, "Failed to get input map for signature: count")


def test_random_ops_go_on(asker: Asker) -> None:
    first, second = (asker.values("random", n=np.int32(3)) for _ in range(2))
    for name in ("op", "generator"):
        assert first[name] != second[name]
        assert all(0.0 <= value < 1.0 for value in first[name] + second[name])


def test_tables_look_up_and_grow(asker: Asker) -> None:
    assert asker.values("look_up", key=[b"a", b"b"]) == {"value": [1, -1]}
    first = asker.values("insert", key=[b"a", b"b"], value=np.array([1, 2]))["size"]
    assert asker.values("insert", key=[b"b", b"c"], value=np.array([3, 4]))["size"] == first + 1


def test_an_input_of_any_rank_takes_each(asker: Asker) -> None:
    assert asker.values("", x=np.float32(2)) == {"y": 3.0}
    assert asker.values("", x=np.ones([1, 2, 1], np.float32)) == {"y": [[[2.0], [2.0]]]}
    assert asker.values("", x=np.ones([0, 3], np.float32)) == {"y": []}
    for values, answer in ((2, 3.0), ([], []), ([[[1.5]]], [[[2.5]]]), ([[], []], [[], []])):
        assert asker.answer("serving_default", values) == answer
    assert asker.answer("serving_default", [[], []], "instances") == [[], []]
    deep: Any = 1.0
    for _ in range(70):
        deep = [deep]
    reply = asker.rest("serving_default", deep)
    assert (reply.status, reply.error) == (400, "A tensor must have at most 64 dimensions. Received: 70.")
    assert asker.rest("serving_default", deep, "instances").status == 400


def test_several_inputs_and_outputs_of_different_types(asker: Asker) -> None:
    inputs = {"a": np.array([[1, 2], [3, 4]], np.float32), "b": np.array([5, 6]), "c": np.array(b"\xff\0", object)}
    answer = {"sum": [3.0, 7.0], "b": [6, 7], "c_bytes": [b"\xff\0", b"\xff\0"]}
    assert asker.values("mixed", **inputs) == answer
    assert asker.values("mixed", "b", "sum", **inputs) == {"b": [6, 7], "sum": [3.0, 7.0]}
    columns = {"a": [[1, 2], [3, 4]], "b": [5, 6], "c": {"b64": "/wA="}}
    encoded = [{"b64": "/wA="}] * 2
    assert asker.answer("mixed", columns) == {"sum": [3.0, 7.0], "b": [6, 7], "c_bytes": encoded}


@pytest.mark.parametrize(
    ("signature", "inputs", "code", "status", "text"),
    [
        ("positive", {"x": np.float32([-1])}, "INVALID_ARGUMENT", 400, "assertion failed: [must be positive]"),
        ("divide", {"x": np.int32([0])}, "INVALID_ARGUMENT", 400, "Integer division by zero"),
        (
            "zeros",
            {"shape": np.array([2**62, 2**62])},
            "INVALID_ARGUMENT",
            400,
            "Shape [4611686018427387904,46116860184",
        ),
        ("read_file", {"path": np.array(b"/nope")}, "NOT_FOUND", 404, "/nope; No such file or directory"),
    ],
)
def test_a_function_that_fails_answers_with_its_own_code_and_text(
    asker: Asker, signature: str, inputs: dict[str, Any], code: str, status: int, text: str
) -> None:
    found, message = asker.error(signature, **inputs)
    assert found == code
    assert message.startswith(text)
    ((name, value),) = inputs.items()
    reply = asker.rest(signature, {name: value.tolist() if value.dtype.kind != "S" else value.item().decode()})
    assert (reply.status, reply.error.startswith(text)) == (status, True)


def test_an_error_text_that_quotes_bytes_comes_through(asker: Asker) -> None:
    text = "StringToNumberOp could not correctly convert string: "
    code, message = asker.error("to_number", text=np.array([b"\xff"], object))
    assert (code, message.split("\n")[0]) == ("INVALID_ARGUMENT", f"{text}\ufffd")
    reply = asker.rest("to_number", [{"b64": "/w=="}])
    assert reply.status == 400
    assert f"{text}\udcff" in reply.text  # the byte as it is, as in a stock server
    assert asker.values("to_number", text=[b"1.5"]) == {"number": [1.5]}


def test_a_function_that_prints_answers(asker: Asker, capfd: pytest.CaptureFixture[str]) -> None:
    assert asker.values("loud", x=X) == {"y": [1.0, 2.0]}
    assert "the model says [1 2]" in capfd.readouterr().err


def test_a_function_that_sleeps_past_the_deadline_is_cut_off(asker: Asker, version_path: Path) -> None:
    assert asker.values("sleepy", x=X) == {"y": [1.0, 2.0]}
    with pytest.raises(grpc.RpcError) as caught:
        asker.grpc("sleepy", x=X, timeout=SLEEP_SECONDS / 3)
    assert caught.value.code().name == "DEADLINE_EXCEEDED"
    servable = load_saved_model(version_path)
    with pytest.raises(StatusError, match="DEADLINE_EXCEEDED: Timed out waiting for notification"):
        ask(servable, {"x": X}, "sleepy", timeout_ms=50)
    assert ask(servable, {"x": X}, "sleepy") == {"y": [1.0, 2.0]}
    servable.close()


def test_outputs_of_unequal_or_no_rows(asker: Asker) -> None:
    assert asker.values("above", x=np.float32([-1, 1, 2])) == {"x": [-1.0, 1.0, 2.0], "rows": [1, 2]}
    assert asker.answer("above", [-1, 1, 2]) == {"x": [-1.0, 1.0, 2.0], "rows": [1, 2]}
    reply = asker.rest("above", [-1, 1, 2], "instances")
    assert (reply.status, reply.error) == (400, "Tensor name: x has inconsistent batch size: 3 expecting: 2")
    assert asker.values("nothing", x=X) == {"y": [], "z": []}
    assert [dim.size for dim in asker.grpc("nothing", x=X)["z"].tensor_shape.dim] == [0, 3]
    assert asker.answer("nothing", [1], "instances") == []
    assert asker.answer("nothing", []) == {"y": [], "z": []}


def test_ragged_and_sparse_inputs_are_sent_in_parts(asker: Asker) -> None:
    parts = {"words": np.float32([1, 2, 3]), "words_1": np.array([0, 2, 3])}
    assert asker.values("ragged", "sums", **parts) == {"sums": [3.0, 3.0]}
    columns = {name: part.tolist() for name, part in parts.items()}
    assert asker.rest("ragged", columns).error.startswith(EMPTY)  # one of the outputs is ragged
    cells = {"cells": np.array([[0, 1]]), "cells_1": np.float32([5]), "cells_2": np.array([1, 2])}
    assert asker.values("sparse", **cells) == {"dense": [[0.0, 5.0]]}
    assert asker.answer("sparse", {name: part.tolist() for name, part in cells.items()}) == [[0.0, 5.0]]


@pytest.mark.parametrize(("name", "kind"), [("ragged", "composite tensor"), ("sparse", "sparse tensor")])
def test_a_ragged_or_sparse_output_is_refused_and_the_others_are_not(asker: Asker, name: str, kind: str) -> None:
    refusal = (
        f"{EMPTY}output {name} of signature composites is a {kind}, which an answer cannot contain. "
        "Name other outputs in `output_filter`, or export dense tensors."
    )
    assert asker.error("composites", name, x=X) == ("INVALID_ARGUMENT", refusal)
    assert asker.error("composites", x=X)[0] == "INVALID_ARGUMENT"
    assert asker.rest("composites", [1.0]).status == 400
    assert asker.values("composites", "dense", x=X) == {"dense": [1.0, 2.0]}


@pytest.mark.parametrize(("name", "kind"), [("variable", "resource"), ("items", "variant")])
def test_handles_are_never_sent(asker: Asker, name: str, kind: str) -> None:
    refusal = (
        f"Output {name} of signature handles is a {kind}, which the embedded server cannot write. "
        "Name other outputs in `output_filter`."
    )
    assert asker.error("handles", name, x=X) == ("UNIMPLEMENTED", refusal)
    assert asker.error("handles", "y", name, x=X) == ("UNIMPLEMENTED", refusal)
    reply = asker.rest("handles", [1.0])
    assert (reply.status, "which the embedded server cannot write" in reply.error) == (501, True)
    assert asker.values("handles", "y", x=X) == {"y": [1.0, 2.0]}


def test_handles_are_never_taken(asker: Asker) -> None:
    from tensorflow.core.framework import tensor_pb2

    for number, kind in ((20, "resource"), (21, "variant")):
        text = f"Input items is a {kind}, which the embedded server cannot read from a request."
        assert asker.error("stack", items=tensor_pb2.TensorProto(dtype=number)) == ("UNIMPLEMENTED", text)
    reply = asker.rest("stack", 1.0)
    assert (reply.status, reply.error) == (501, "Conversion of JSON Value: 1.0 to type: variant")


def test_xla_inside_of_a_branch_is_found(asker: Asker) -> None:
    assert asker.error("hidden_xla", x=X) == ("INTERNAL", "XLA compilation disabled")
    assert asker.rest("hidden_xla", [1.0]).status == 500


def test_the_init_op_is_no_function(asker: Asker) -> None:
    code, text = asker.error("__saved_model_init_op")
    assert (code, text) == (
        "INVALID_ARGUMENT",
        "Tensor NoOp:0, specified in either feed_devices or fetch_devices was not found in the Graph",
    )


def wrong(number: int) -> Any:
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(dtype=number)
    proto.tensor_shape.SetInParent()
    return proto


@pytest.mark.parametrize("number", [0, 99, 101])
def test_a_data_type_that_nothing_has_is_no_tensor(asker: Asker, number: int) -> None:
    assert asker.error("", x=wrong(number)) == ("INVALID_ARGUMENT", "tensor parsing error: x")


@pytest.mark.parametrize("number", [11, 24, 30, 7])
def test_another_data_type_is_the_engines_error(asker: Asker, number: int) -> None:
    text = f"Expects arg[0] to be float but {BY_NUMBER[number].name} is provided"
    assert asker.error("", x=wrong(number)) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize("number", sorted(BY_NUMBER), ids=lambda number: BY_NUMBER[number].name)
def test_every_type_with_its_extremes_over_grpc(asker: Asker, number: int) -> None:
    from tensorflow.core.framework import tensor_pb2

    from tfchain.deployment.server.servables.tensor_proto import to_proto

    dtype, values = BY_NUMBER[number], sample(number)
    for array in (values, values[-1:].reshape(()), values[:0].reshape(0, 2), np.tile(values, 30).reshape(30, 1, -1)):
        for as_content in (False, True):
            sent, kept = tensor_pb2.TensorProto(), tensor_pb2.TensorProto()
            to_proto(array, sent, as_content=as_content)
            to_proto(array, kept)
            received = asker.grpc(f"echo_{dtype.name}", x=sent)["y"]
            assert received.dtype == number
            assert received.SerializeToString(deterministic=True) == kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize("number", sorted(BY_NUMBER), ids=lambda number: BY_NUMBER[number].name)
def test_every_type_over_rest(asker: Asker, number: int) -> None:
    name, values = BY_NUMBER[number].name, sample(number)
    if name == "string":
        texts = ["", "a\0b", "你", "\U0001f600"]
        assert asker.answer("echo_string", texts) == texts
        raw = asker.rest("echo_string", [{"b64": base64.b64encode(b"\xff\xfe").decode()}])
        assert raw.text.encode("utf-8", "surrogateescape") == b'{\n    "outputs": [\n        "\xff\xfe"\n    ]\n}'
    elif name in IN_JSON:
        answer = np.array(asker.answer(f"echo_{name}", values.tolist()), values.dtype)
        assert np.array_equal(answer, values, equal_nan=values.dtype.kind == "f")
        assert np.array_equal(np.signbit(answer), np.signbit(values)) if values.dtype.kind == "f" else True
        assert asker.answer(f"echo_{name}", values[1].item()) == values[1].item()
        assert asker.answer(f"echo_{name}", []) == []
    else:
        reply = asker.rest(f"echo_{name}", [1])
        assert (reply.status, reply.error) == (501, f"Conversion of JSON Value: 1 to type: {name}")


def test_64_mebibytes_pass_through_both_protocols(asker: Asker) -> None:
    large = np.arange(2**24, dtype=np.float32).reshape(2**12, 2**12)  # 64 MiB
    output = asker.grpc("echo_float", x=large)["y"]
    assert [dim.size for dim in output.tensor_shape.dim] == [2**12, 2**12]
    assert (len(output.float_val), output.float_val[0], output.float_val[-1]) == (2**24, 0.0, 2.0**24 - 1)
    text = "abcdefgh" * 2**23
    reply = asker.rest("echo_string", [text])
    assert reply.status == 200
    assert len(reply.text) == len(text) + len('{\n    "outputs": [\n        ""\n    ]\n}')
    assert text in reply.text
