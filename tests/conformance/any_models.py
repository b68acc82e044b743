"""Small models as people save them: graphs of TensorFlow 1, one module with every kind of signature, Keras models."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.deployment.server.grpc.requests import decode_input
from tfchain.deployment.server.json.request import read_predict_request
from tfchain.deployment.server.json.response import write_predict_response
from tfchain.deployment.server.predict import predict
from tfchain.deployment.server.servables.dtypes import BY_NUMBER
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.servables.tensor_proto import to_proto

SLEEP_SECONDS = 0.3


def ask(servable: Servable, inputs: Mapping[str, Any], signature: str = "", *outputs: str, **options: Any) -> Any:
    """Asks as the gRPC server does, without a socket: the inputs and outputs pass through TensorProtos."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    protos = {
        name: value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        for name, value in inputs.items()
    }
    prediction = predict(servable, signature, protos, to_array=decode_input, output_filter=outputs, **options)
    answer = {}
    for name, array in prediction.outputs.items():
        proto = tensor_pb2.TensorProto()
        to_proto(array, proto)
        answer[name] = tf.make_ndarray(proto).tolist()
    return answer


def ask_json(servable: Servable, body: str) -> str:
    """Asks as the REST API does, without a socket."""
    request = read_predict_request(body.encode(), lambda name: servable.signatures[name or "serving_default"].inputs)
    prediction = predict(servable, request.signature_name, request.inputs, to_array=lambda _, array: array)
    return write_predict_response(prediction.outputs, is_row_format=request.is_row_format).decode()


def save_graph(
    path: Path, build: Callable[[], Any] | None = None, edit: Callable[[Any], Any] | None = None, **options: Any
) -> Path:
    """Saves a graph of TensorFlow 1.

    Args:
        path: The new version's folder.
        build: Builds the graph in the default graph; returns signatures, or a pair of signatures and options of the
            builder. Default: `serving_default` adds 1 to `x`, `two` adds `x` and `z`.
        edit: Changes the MetaGraphDef of the saved file.
        options: Options of the builder's `add_meta_graph_and_variables`.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    v1 = tf.compat.v1
    is_text = options.pop("as_text", False)
    with v1.Graph().as_default(), v1.Session() as session:
        built = (build or _build_sums)()
        signatures, more = built if isinstance(built, tuple) else (built, {})
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, **options, **more)
        builder.save(as_text=is_text)
    if edit is not None:
        file = path / "saved_model.pb"
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        edit(saved_model.meta_graphs[0])
        file.write_bytes(saved_model.SerializeToString())
    return path


def signature_def(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """A SignatureDef of TensorFlow 1."""
    import tensorflow as tf

    return tf.compat.v1.saved_model.predict_signature_def(dict(inputs), dict(outputs))


def _build_sums() -> dict[str, Any]:
    import tensorflow as tf

    v1 = tf.compat.v1
    x, z = (v1.placeholder(tf.float32, [None], name=name) for name in "xz")
    return {
        "serving_default": signature_def({"x": x}, {"y": tf.add(x, 1.0, name="y")}),
        "two": signature_def({"x": x, "z": z}, {"w": tf.add(x, z, name="w")}),
    }


def make_functions() -> tuple[Any, dict[str, Any]]:
    """Builds a module with one function for each kind of signature, and one that echoes for each data type."""
    import tensorflow as tf

    def spec(dtype: Any, name: str, shape: list[int | None] | None = None) -> Any:
        return tf.TensorSpec([None] if shape is None else shape, dtype, name=name)

    floats = [spec(tf.float32, "x")]
    functions: dict[str, Any] = {}

    def signature(*specs: Any) -> Callable[[Any], Any]:
        def add(function: Any) -> Any:
            functions[function.__name__] = tf.function(function, input_signature=list(specs))
            return function

        return add

    module = tf.Module()
    module.counter = tf.Variable(0, dtype=tf.int64)
    module.seed = tf.random.Generator.from_seed(1)
    module.fixed = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1], tf.int64)), default_value=-1
    )
    module.growing = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

    @signature(tf.TensorSpec(None, tf.float32, name="x"))
    def serving_default(x: Any) -> Any:
        return {"y": x + 1.0}

    @signature()
    def count() -> Any:
        return {"n": module.counter.assign_add(1)}

    @signature(spec(tf.int32, "n", []))
    def random(n: Any) -> Any:
        return {"op": tf.random.uniform([n]), "generator": module.seed.uniform([n])}

    @signature(spec(tf.string, "key"))
    def look_up(key: Any) -> Any:
        return {"value": module.fixed.lookup(key)}

    @signature(spec(tf.string, "key"), spec(tf.int64, "value"))
    def insert(key: Any, value: Any) -> Any:
        module.growing.insert(key, value)
        return {"size": module.growing.size()}

    @signature(*floats)
    def positive(x: Any) -> Any:
        tf.debugging.assert_greater(x, 0.0, message="must be positive")
        return {"y": x}

    @signature(spec(tf.int32, "x"))
    def divide(x: Any) -> Any:
        return {"y": 10 // x}

    @signature(spec(tf.string, "path", []))
    def read_file(path: Any) -> Any:
        return {"text": tf.io.read_file(path)}

    @signature(spec(tf.string, "text"))
    def to_number(text: Any) -> Any:
        return {"number": tf.strings.to_number(text)}

    @signature(spec(tf.int64, "shape"))
    def zeros(shape: Any) -> Any:
        return {"zeros": tf.zeros(shape)}

    @signature(*floats)
    def loud(x: Any) -> Any:
        tf.print("the model says", x)
        return {"y": x}

    @signature(*floats)
    def sleepy(x: Any) -> Any:
        y = tf.numpy_function(lambda value: (time.sleep(SLEEP_SECONDS), value)[1], [x], tf.float32)
        return {"y": tf.ensure_shape(y, [None])}

    @signature(*floats)
    def above(x: Any) -> Any:
        return {"x": x, "rows": tf.where(x > 0.0)[:, 0]}

    @signature(*floats)
    def nothing(x: Any) -> Any:
        return {"y": x[:0], "z": tf.zeros([0, 3])}

    @signature(tf.RaggedTensorSpec([None, None], tf.float32, ragged_rank=1))
    def ragged(words: Any) -> Any:
        return {"double": words * 2.0, "sums": tf.reduce_sum(words, axis=1)}

    @signature(tf.SparseTensorSpec([None, None], tf.float32))
    def sparse(cells: Any) -> Any:
        return {"dense": tf.sparse.to_dense(cells)}

    @signature(*floats)
    def composites(x: Any) -> Any:
        return {
            "dense": x,
            "ragged": tf.RaggedTensor.from_row_lengths(x, [tf.size(x)]),
            "sparse": tf.sparse.from_dense(x),
        }

    @signature(*floats)
    def handles(x: Any) -> Any:
        items = tf.raw_ops.TensorListFromTensor(tensor=x, element_shape=tf.constant([], tf.int32))
        return {"y": x, "variable": module.counter.handle, "items": items}

    @signature(spec(tf.variant, "items", []))
    def stack(items: Any) -> Any:
        shape = tf.constant([], tf.int32)
        return {"y": tf.raw_ops.TensorListStack(input_handle=items, element_shape=shape, element_dtype=tf.float32)}

    triple = tf.function(lambda x: x * 3.0, jit_compile=True)

    @signature(*floats)
    def hidden_xla(x: Any) -> Any:
        return {"y": tf.cond(tf.size(x) > 1, lambda: triple(x), lambda: x)}

    @signature(spec(tf.float32, "a", [None, 2]), spec(tf.int64, "b"), spec(tf.string, "c", []))
    def mixed(a: Any, b: Any, c: Any) -> Any:
        return {"sum": tf.reduce_sum(a, 1), "b": b + 1, "c_bytes": tf.fill(tf.shape(b), c)}

    for dtype in BY_NUMBER.values():
        echo = tf.function(
            lambda x: {"y": tf.identity(x)}, input_signature=[tf.TensorSpec(None, tf.as_dtype(dtype.number), name="x")]
        )
        functions[f"echo_{dtype.name}"] = echo
    module.functions = functions
    return module, functions


def sample(number: int) -> np.ndarray:
    """Values of a data type with its extremes, by its number; for floats also NaN and the infinities."""
    import ml_dtypes

    dtype = BY_NUMBER[number]
    if dtype.name == "string":
        return np.array([b"", b"a\0b", b"\xff\xfe", "你".encode(), b"\0"], object)
    if dtype.name == "bool":
        return np.array([True, False])
    plain = dtype.plain
    if plain.kind == "c":
        return np.array([0, 1 + 2j, complex(np.nan, np.inf), complex(-np.inf, -0.0)], plain)
    if plain.kind in "iu" or "int" in plain.name:
        limits = ml_dtypes.iinfo(plain)
        values = [int(limits.min), 0, 1, int(limits.max)]
        array = np.array(values, plain) if plain.kind in "iu" else np.array(values).astype(plain)
        return array.view(dtype.numpy)
    largest = float(ml_dtypes.finfo(plain).max)
    return np.array([0.0, -0.0, 1.0, -1.0, largest, -largest, np.nan, np.inf, -np.inf]).astype(plain)
