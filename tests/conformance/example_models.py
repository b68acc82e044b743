"""Two models that parse `tf.Example`s in their graph, and ways to ask for Classify, Regress and MultiInference."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.conformance.conftest import Reply, Wire

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
PREDICT = "tensorflow/serving/predict"


def write_graph(path: Path) -> None:
    """Writes a model as TensorFlow 1 does: many signatures, with methods of their own, on one input tensor."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="examples")
        single = tf.io.FixedLenFeature([], tf.float32, default_value=0.0)
        kinds = {"words": tf.string, "ints": tf.int64, "floats": tf.float32}
        parsed = tf.io.parse_example(
            examples, {"x": single} | {name: tf.io.VarLenFeature(kind) for name, kind in kinds.items()}
        )
        x, count = parsed["x"], tf.shape(examples)[0]
        scores, classes = tf.stack([1 - x, x], axis=1), tf.tile([["no", "yes"]], [count, 1])
        (steps,) = tf.while_loop(
            lambda i: i < tf.reduce_max(parsed["ints"].values), lambda i: [i + 1], [tf.constant(0, tf.int64)]
        )
        outputs = {
            "serving_default": (CLASSIFY, {"classes": classes, "scores": scores}),
            "predict": (PREDICT, {"scores": scores}),
            "own": ("own/method", {"scores": scores}),
            "scores": (CLASSIFY, {"scores": scores}),
            "classes": (CLASSIFY, {"classes": classes}),
            "same": (CLASSIFY, {"classes": classes, "scores": classes}),
            "features": (CLASSIFY, {"classes": tf.stack([_join(parsed[name]) for name in kinds], axis=1)}),
            "regress": (REGRESS, {"outputs": 2 * x + 1}),
            "column": (REGRESS, {"outputs": x[:, None]}),
            "three": (CLASSIFY, {"classes": classes, "scores": scores, "more": x}),
            "neither": (CLASSIFY, {"logits": scores}),
            "flat": (CLASSIFY, {"scores": x}),
            "double": (CLASSIFY, {"scores": tf.cast(scores, tf.float64)}),
            "narrow": (CLASSIFY, {"classes": classes[:, :1], "scores": scores}),
            "first": (CLASSIFY, {"scores": scores[:1]}),
            "wide": (REGRESS, {"outputs": scores}),
            "total": (REGRESS, {"outputs": tf.reduce_sum(x, keepdims=True)}),
            "whole": (REGRESS, {"outputs": tf.cast(x, tf.int32)}),
            "unnamed": (REGRESS, {"values": x}),
            "slow": (REGRESS, {"outputs": x + tf.cast(steps, tf.float32)}),
        }
        signatures = {
            name: _signature({"inputs": examples}, tensors, method) for name, (method, tensors) in outputs.items()
        }
        signatures["renamed"] = _signature({"examples": examples}, {"outputs": x, "scores": scores}, CLASSIFY)
        signatures["renamed_regress"] = _signature({"examples": examples}, {"outputs": x}, REGRESS)
        signatures["pair"] = _signature({"inputs": examples, "more": x}, {"outputs": x}, REGRESS)
        signatures["parsed"] = _signature({"inputs": x}, {"outputs": x + 1}, REGRESS)
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def _join(values: Any) -> Any:
    import tensorflow as tf

    if values.dtype != tf.string:
        values = tf.SparseTensor(values.indices, tf.strings.as_string(values.values), values.dense_shape)
    return tf.strings.reduce_join(tf.sparse.to_dense(values), axis=1, separator=",")


def _signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str) -> Any:
    from tensorflow.compat.v1 import saved_model

    return saved_model.build_signature_def(
        {name: saved_model.build_tensor_info(tensor) for name, tensor in inputs.items()},
        {name: saved_model.build_tensor_info(tensor) for name, tensor in outputs.items()},
        method,
    )


def write_module(path: Path) -> None:
    """Writes a model as TensorFlow 2 does: functions, all with Predict's method name, each with an input of its own."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs: Any) -> Any:
            word = tf.io.parse_example(inputs, {"word": tf.io.FixedLenFeature([], tf.string)})["word"]
            length = tf.cast(tf.strings.length(word), tf.float32)
            return {"classes": tf.stack([word, word + "!"], axis=1), "scores": tf.stack([length, length / 3], axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def regress(self, inputs: Any) -> Any:
            x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
            return {"outputs": x / 3}

    module = Module()
    tf.saved_model.save(module, str(path), {"serving_default": module.classify, "regress": module.regress})


def to_example(**features: Any) -> Any:
    """Makes a `tf.Example` of lists of texts, whole numbers or floats."""
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        kind = {str: feature.bytes_list, bytes: feature.bytes_list, int: feature.int64_list, float: feature.float_list}
        kind[type(values[0])].value.extend([v.encode() if isinstance(v, str) else v for v in values])
    return example


@dataclass(frozen=True)
class Asker:
    """Asks a running server's model over both protocols.

    Args:
        wire: The server.
        model: The model's name.
    """

    wire: Wire
    model: str

    def rest(self, verb: str, body: str | bytes, model: str = "") -> Reply:
        data = body.encode() if isinstance(body, str) else body
        return self.wire.http("POST", f"/v1/models/{model or self.model}:{verb}", data)

    def results(self, verb: str, examples: list[Any], signature: str = "", context: Any = None) -> Any:
        body = {"examples": examples, "signature_name": signature} | ({} if context is None else {"context": context})
        reply = self.rest(verb, json.dumps(body))
        assert reply.status == 200, reply.text
        return json.loads(reply.text)["results"]

    def call(self, method: str, request: Any, timeout: float = 30.0) -> Any:
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        with grpc.insecure_channel(self.wire.grpc_target) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return getattr(stub, method)(request, timeout=timeout)

    def error(self, method: str, request: Any, timeout: float = 30.0) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request, timeout)
        return caught.value.code().name, caught.value.details()

    def request(self, method: str, *examples: Any, signature: str = "", context: Any = None, **spec: Any) -> Any:
        """Makes a request of Classify or Regress."""
        from tensorflow_serving.apis import classification_pb2, regression_pb2

        kinds = {"Classify": classification_pb2.ClassificationRequest, "Regress": regression_pb2.RegressionRequest}
        request = kinds[method]()
        fill_spec(request.model_spec, signature, **{"name": self.model, **spec})
        fill_input(request.input, *examples, context=context)
        return request

    def joint_request(self, *tasks: tuple[str, str], examples: tuple[Any, ...], **spec: Any) -> Any:
        """Makes a request of MultiInference, with tasks of signature and method."""
        from tensorflow_serving.apis import inference_pb2

        request = inference_pb2.MultiInferenceRequest()
        for signature, method in tasks:
            task = request.tasks.add(method_name=method)
            fill_spec(task.model_spec, signature, **{"name": self.model, **spec})
        fill_input(request.input, *examples)
        return request


def fill_spec(proto: Any, signature: str, *, name: str, version: int | None = None, label: str = "") -> None:
    proto.name, proto.signature_name = name, signature
    if version is not None:
        proto.version.value = version
    if label:
        proto.version_label = label


def fill_input(proto: Any, *examples: Any, context: Any = None) -> None:
    if context is None:
        proto.example_list.examples.extend(examples)
    else:
        proto.example_list_with_context.examples.extend(examples)
        proto.example_list_with_context.context.CopyFrom(context)
