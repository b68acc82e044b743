"""gRPC answers and errors: codes and texts of TensorFlow Serving's contract."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.conformance.conftest import Wire


class Stubs:
    """Stubs on one channel, and a maker of requests."""

    def __init__(self, target: str) -> None:
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        self.channel = grpc.insecure_channel(target)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def request(self, inputs: dict[str, Any], signature: str = "", name: str = "hpt", **spec: Any) -> Any:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        if "version" in spec:
            request.model_spec.version.value = spec["version"]
        if "label" in spec:
            request.model_spec.version_label = spec["label"]
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return request

    def error(self, request: Any, timeout: float = 30.0) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.prediction.Predict(request, timeout=timeout)
        return caught.value.code().name, caught.value.details()


@pytest.fixture(scope="module")
def stubs(wire: Wire) -> Iterator[Stubs]:
    made = Stubs(wire.grpc_target)
    yield made
    made.channel.close()


@pytest.fixture(scope="module")
def tuned_stubs(tuned_wire: Wire) -> Iterator[Stubs]:
    made = Stubs(tuned_wire.grpc_target)
    yield made
    made.channel.close()


ONE = np.array([1.0], np.float32)


def test_predict_answers_in_typed_fields_with_the_resolved_version(stubs: Stubs) -> None:
    response = stubs.prediction.Predict(stubs.request({"x": np.array([1.0, 5.0], np.float32)}))
    assert response.model_spec.name == "hpt"
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs["y"].float_val) == [2.5, 4.5]
    assert response.outputs["y"].tensor_content == b""
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [2]


def test_predict_answers_in_raw_bytes_where_the_flag_says_so(tuned_stubs: Stubs) -> None:
    output = tuned_stubs.prediction.Predict(tuned_stubs.request({"x": ONE})).outputs["y"]
    assert output.tensor_content == np.array([2.5], np.float32).tobytes()
    assert not output.float_val


def test_a_unix_socket_is_served_beside_the_port(tuned_wire: Wire) -> None:
    stubs = Stubs(f"unix:{tuned_wire.server.options.grpc_socket_path}")
    assert stubs.prediction.Predict(stubs.request({"x": ONE})).model_spec.version.value == 123
    stubs.channel.close()


@pytest.mark.parametrize("name", ["int32", "int64", "uint8", "uint16", "float64", "bool", "float16"])
def test_every_type_goes_there_and_back(stubs: Stubs, name: str) -> None:
    import tensorflow as tf

    values = np.array([0, 1, 3]).astype(name)
    response = stubs.prediction.Predict(stubs.request({"x": values}, name))
    assert tf.make_ndarray(response.outputs["y"]).tolist() == values.tolist()
    assert response.outputs["y"].dtype == tf.as_dtype(name).as_datatype_enum


def test_texts_are_bytes(stubs: Stubs) -> None:
    response = stubs.prediction.Predict(stubs.request({"text": [b"\xff", "你".encode()]}, "shout", version=123))
    assert list(response.outputs["loud"].string_val) == [b"\xff!", "你!".encode()]


def test_the_output_filter_leaves_the_rest_out(stubs: Stubs) -> None:
    request = stubs.request({"x": ONE}, "two")
    request.output_filter.append("double")
    assert list(stubs.prediction.Predict(request).outputs) == ["double"]


def test_xla_functions_are_refused_as_in_a_stock_server(stubs: Stubs) -> None:
    request = stubs.request({"x": ONE}, "xla")
    assert stubs.error(request) == ("INTERNAL", "XLA compilation disabled")


@pytest.mark.parametrize(
    ("inputs", "signature", "spec", "code", "text"),
    [
        ({}, "", {"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({}, "", {"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        ({}, "", {"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(hpt, 9)"),
        ({}, "", {"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        ({}, "x", {}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (
            {},
            "",
            {},
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            {"x": ONE, "q": ONE},
            "",
            {},
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({q,x}) != len({x}). "
            "Sent extra: {q}. Missing but required: {}.",
        ),
        (
            {"q": ONE},
            "",
            {},
            "INVALID_ARGUMENT",
            "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value "
            "provided. Inputs expected to be in the request {q}, or default input alias set: ",
        ),
        (
            {"x": np.array([1.0])},
            "",
            {},
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float but double is provided",
        ),
    ],
)
def test_a_wrong_request_is_named(
    stubs: Stubs, inputs: dict[str, Any], signature: str, spec: dict[str, Any], code: str, text: str
) -> None:
    assert stubs.error(stubs.request(inputs, signature, **spec)) == (code, text)


def test_a_missing_model_spec_is_named(stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    assert stubs.error(predict_pb2.PredictRequest()) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    for call, request in (
        (stubs.prediction.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest()),
        (stubs.model.GetModelStatus, get_model_status_pb2.GetModelStatusRequest()),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert (caught.value.code().name, caught.value.details()) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_a_broken_tensor_is_named(stubs: Stubs) -> None:
    request = stubs.request({"x": ONE})
    request.inputs["x"].tensor_content = b"abc"
    assert stubs.error(request) == ("INVALID_ARGUMENT", "tensor parsing error: x")


def test_a_wrong_output_filter_is_named(stubs: Stubs) -> None:
    request = stubs.request({"x": ONE}, "two")
    request.output_filter.append("nope")
    assert stubs.error(request) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nope Outputs expected to be in the set {double,is_positive}.",
    )
    request.output_filter[:] = ["double", "double"]
    assert stubs.error(request) == ("INVALID_ARGUMENT", "duplicate output tensor alias: double")


def test_the_engines_text_comes_through_for_a_wrong_shape(stubs: Stubs) -> None:
    code, text = stubs.error(stubs.request({"x": np.ones((1, 3), np.float32)}, "matrix"))
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("Matrix size-incompatible: In[0]: [1,3], In[1]: [2,1]")


def test_long_texts_are_cut(stubs: Stubs) -> None:
    code, text = stubs.error(stubs.request({}, "s" * 2000))
    assert code == "FAILED_PRECONDITION"
    assert text == 'Serving signature key "' + "s" * (1024 - 23) + "...TRUNCATED"


def test_a_deadline_ends_the_run(stubs: Stubs) -> None:
    code, _ = stubs.error(stubs.request({"steps": np.int32(2_000_000_000)}, "slow"), timeout=0.3)
    assert code == "DEADLINE_EXCEEDED"


def test_a_small_timeout_reaches_the_engine(base_path: Any) -> None:
    from tests.conformance.conftest import VERSION
    from tfchain.deployment.server.servables.saved_model import load_saved_model
    from tfchain.deployment.server.status import Code, StatusError

    servable = load_saved_model(base_path / str(VERSION))
    with pytest.raises(StatusError) as caught:
        servable.run(servable.signatures["slow"], {"steps": np.array(2_000_000_000, np.int32)}, ["n"], 50)
    assert (caught.value.code, caught.value.message) == (Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
    servable.close()


def test_metadata_is_a_map_of_signatures_without_a_signature_name(stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "hpt"
    response = stubs.prediction.GetModelMetadata(request)
    assert (response.model_spec.name, response.model_spec.version.value) == ("hpt", 123)
    assert response.model_spec.signature_name == ""
    found = response.metadata["signature_def"]
    assert found.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert found.Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].name == "serving_default_x:0"
    assert "__saved_model_init_op" in signatures.signature_def


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["foo"], "Metadata field foo is not supported"),
    ],
)
def test_wrong_metadata_fields_are_named(stubs: Stubs, fields: list[str], text: str) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "hpt"
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.GetModelMetadata(request)
    assert (caught.value.code().name, caught.value.details()) == ("INVALID_ARGUMENT", text)


def test_status_lists_versions(stubs: Stubs) -> None:
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "hpt"
    (entry,) = stubs.model.GetModelStatus(request).model_version_status
    assert (entry.version, entry.state, entry.status.error_code, entry.status.error_message) == (123, 30, 0, "")
    request.model_spec.version.value = 9
    with pytest.raises(grpc.RpcError) as caught:
        stubs.model.GetModelStatus(request)
    assert caught.value.details() == "Could not find version 9 of model hpt"
    request.model_spec.name = "nope"
    request.model_spec.ClearField("version")
    with pytest.raises(grpc.RpcError) as caught:
        stubs.model.GetModelStatus(request)
    assert (caught.value.code().name, caught.value.details()) == (
        "NOT_FOUND",
        "Could not find any versions of model nope",
    )


def test_requests_run_side_by_side(stubs: Stubs) -> None:
    slow = stubs.prediction.Predict.future(stubs.request({"steps": np.int32(2_000_000_000)}, "slow"), timeout=5.0)
    assert list(stubs.prediction.Predict(stubs.request({"x": ONE}), timeout=4.0).outputs["y"].float_val) == [2.5]
    assert not slow.done()
    slow.cancel()
