"""TensorFlow Serving's messages without TensorFlow, in processes of their own."""

import subprocess
import sys

import pytest

from tfchain.runtime.tf_protos import find_message


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def test_messages_and_stubs_come_without_tensorflow_and_leave_no_package_of_its_name() -> None:
    code = """
import sys
from tfchain.runtime.tf_protos import find_message, load_serving_protos
load_serving_protos()
load_serving_protos()
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2
request = predict_pb2.PredictRequest()
request.inputs["text"].string_val.append(b"a")
request.inputs["text"].dtype = 7
again = predict_pb2.PredictRequest.FromString(request.SerializeToString())
assert again.inputs["text"].string_val == [b"a"]
assert type(request.inputs["text"]) is find_message("tensorflow.TensorProto")
assert find_message("tensorflow.SavedModel")(saved_model_schema_version=1).saved_model_schema_version == 1
print([name for name in sys.modules if name.partition(".")[0] == "tensorflow"])
"""
    assert run(code) == "[]"


def test_a_release_whose_messages_need_tensorflow_changes_nothing() -> None:
    code = """
import importlib, sys
real = importlib.import_module
def refuse(name, *rest):
    if name.endswith("predict_pb2"):
        raise ImportError("cannot import name 'x' from 'tensorflow'")
    return real(name, *rest)
importlib.import_module = refuse
from tfchain.runtime.tf_protos import load_serving_protos
load_serving_protos()
print([name for name in sys.modules if name.partition(".")[0] == "tensorflow"])
"""
    assert run(code) == "[]"


def test_with_tensorflow_the_classes_are_its_own() -> None:
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    assert find_message("tensorflow.TensorProto") is tensor_pb2.TensorProto
    assert find_message("tensorflow.SavedModel") is saved_model_pb2.SavedModel


def test_an_unknown_message_is_an_error() -> None:
    with pytest.raises(KeyError):
        find_message("tensorflow.Nothing")
