"""A SavedModel of any kind is served: graphs of TensorFlow 1, Keras' exports, and what their signatures may say."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.any_models import ask, ask_json, save_graph, signature_def
from tfchain.deployment.server.json.proto import write_metadata
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.status import Code, StatusError

ONE = {"x": np.array([1.0], np.float32)}
NOT_FOUND = "Tensor {}, specified in either feed_devices or fetch_devices was not found in the Graph"


def load(path: Path, **options: Any) -> Any:
    return load_saved_model(path, LoadOptions(**options))


def error_of(servable: Any, *request: Any) -> tuple[str, str]:
    with pytest.raises(StatusError) as caught:
        ask(servable, *request)
    return caught.value.code.name, caught.value.message


def table_of(vocabulary: Path) -> Any:
    """A graph that looks words up in a file, which the builder copies to the assets; and its init op."""
    import tensorflow as tf

    v1 = tf.compat.v1
    vocabulary.write_text("a\nb\nc\n")
    word = v1.placeholder(tf.string, [None], name="word")
    file = tf.constant(str(vocabulary))
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file)
    lines, numbers = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(file, tf.string, lines, tf.int64, numbers), default_value=-1
    )
    signatures = {"serving_default": signature_def({"word": word}, {"id": table.lookup(word)})}
    assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
    return signatures, {"assets_collection": assets}, v1.tables_initializer()


@pytest.mark.parametrize("argument", ["legacy_init_op", "main_op"])
@pytest.mark.parametrize("as_text", [False, True])
def test_assets_and_tables_are_there_by_either_init_op(tmp_path: Path, argument: str, as_text: bool) -> None:
    def build() -> Any:
        signatures, options, init_op = table_of(tmp_path / "words.txt")
        return signatures, {**options, argument: init_op}

    path = save_graph(tmp_path / "1", build, as_text=as_text)
    (tmp_path / "words.txt").unlink()
    assert (path / "saved_model.pbtxt").exists() is as_text
    servable = load(path)
    assert ask(servable, {"word": np.array([b"b", b"nope"])}) == {"id": [1, -1]}
    assert ask_json(servable, '{"instances": ["c"]}') == '{\n    "predictions": [2\n    ]\n}'


def test_an_init_op_that_fails_is_named_even_if_it_quotes_bytes(tmp_path: Path) -> None:
    def build() -> Any:
        signatures, options, init_op = table_of(tmp_path / "words.txt")
        return signatures, {**options, "main_op": init_op}

    path = save_graph(tmp_path / "1", build)
    for words, key in ((b"a\nb\na\n", "a"), (b"\xff\nb\n\xff\n", "\ufffd")):
        (path / "assets" / "words.txt").write_bytes(words)
        with pytest.raises(StatusError, match=f"Key {key} has 0 and trying to add value 2") as caught:
            load(path)
        assert caught.value.message.encode()  # clients can read it


def test_a_simple_save_with_old_variables_is_served(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [], name="x")
        total = v1.Variable([1.0, 2.0], use_resource=False)
        added = v1.assign_add(total, [x, x])
        session.run(v1.global_variables_initializer())
        outputs = {"added": added, "again": added, "same": x}
        v1.saved_model.simple_save(session, str(tmp_path / "1"), {"x": x}, outputs)
    servable = load(tmp_path / "1")
    three = {"x": np.float32(3)}
    assert ask(servable, three, "", "added", "again") == {"added": [4.0, 5.0], "again": [4.0, 5.0]}
    assert ask(servable, three, "", "added") == {"added": [7.0, 8.0]}  # the variable keeps its value
    assert error_of(servable, three) == ("INVALID_ARGUMENT", "x:0 is both fed and fetched.")
    assert ask(load(tmp_path / "1"), three, "", "added") == {"added": [4.0, 5.0]}  # a session of its own


def test_tags_choose_one_of_several_graphs(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        v1.Variable(1.0)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["train"], {"train": signature_def({"x": x}, {"y": x * 1.0})})
        builder.add_meta_graph(["serve"], {"serving_default": signature_def({"x": x}, {"y": x * 2.0})})
        builder.add_meta_graph(["serve", "gpu"], {"serving_default": signature_def({"x": x}, {"y": x * 3.0})})
        builder.save()
    assert ask(load(tmp_path / "1"), ONE) == {"y": [2.0]}
    assert ask(load(tmp_path / "1", tags=("gpu", "serve")), ONE) == {"y": [3.0]}
    assert list(load(tmp_path / "1", tags=("train",)).signatures) == ["train"]
    with pytest.raises(StatusError, match=r"supplied tags: \{ serve tpu \}"):
        load(tmp_path / "1", tags=("serve", "tpu"))


def test_queues_loops_partitioned_variables_and_summaries_do_not_disturb(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None], name="x")
        queue = tf.queue.FIFOQueue(10, [tf.float32], [[]])
        v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue(1.0)]))
        ones = v1.get_variable(
            "ones", [4], initializer=v1.ones_initializer(), partitioner=v1.fixed_size_partitioner(2), use_resource=False
        )
        v1.summary.scalar("first", v1.convert_to_tensor(ones)[0])
        v1.add_to_collection("words", "hello")
        steps = v1.while_loop(lambda i: i < 3, lambda i: i + 1, [0])
        sign = v1.cond(x[0] > 0, lambda: x * 2, lambda: x)
        return {"serving_default": signature_def({"x": x}, {"y": sign + v1.convert_to_tensor(ones)[3], "steps": steps})}

    assert ask(load(save_graph(tmp_path / "1", build)), ONE) == {"steps": 3, "y": [3.0]}


def test_broken_and_unknown_collections_are_not_read(tmp_path: Path) -> None:
    def edit(graph: Any) -> None:
        graph.collection_def["variables"].bytes_list.value.append(b"\xff")
        graph.collection_def["of_a_library"].any_list.value.add().type_url = "x"

    assert ask(load(save_graph(tmp_path / "1", edit=edit)), ONE) == {"y": [2.0]}


def test_a_tensors_name_may_lack_its_port(tmp_path: Path) -> None:
    def edit(graph: Any) -> None:
        graph.signature_def["serving_default"].inputs["x"].name = "x"
        graph.signature_def["serving_default"].outputs["y"].name = "y"

    assert ask(load(save_graph(tmp_path / "1", edit=edit)), ONE) == {"y": [2.0]}


@pytest.mark.parametrize(("name", "named"), [("nope:0", "nope:0"), ("nope", "nope:0"), ("y:5", "y:5"), ("", ":0")])
def test_a_signature_of_missing_tensors_fails_alone_and_at_its_request(tmp_path: Path, name: str, named: str) -> None:
    def edit(graph: Any) -> None:
        graph.signature_def["serving_default"].outputs["y"].name = name

    servable = load(save_graph(tmp_path / "1", edit=edit))
    assert error_of(servable, ONE) == ("INVALID_ARGUMENT", NOT_FOUND.format(named))
    assert ask(servable, {**ONE, "z": np.array([2.0], np.float32)}, "two") == {"w": [3.0]}


def test_two_inputs_of_one_tensor_are_refused(tmp_path: Path) -> None:
    def edit(graph: Any) -> None:
        graph.signature_def["two"].inputs["z"].name = "x:0"

    servable = load(save_graph(tmp_path / "1", edit=edit))
    refusal = ("INVALID_ARGUMENT", 'Endpoint "x:0" fed more than once.')
    assert error_of(servable, {**ONE, "z": np.array([2.0], np.float32)}, "two") == refusal


def with_default(value: Any, **fields: Any) -> Any:
    import tensorflow as tf

    def edit(graph: Any) -> None:
        proto = graph.signature_def["two"].defaults["z"]
        proto.CopyFrom(tf.make_tensor_proto(value))
        for name, content in fields.items():
            setattr(proto, name, content)

    return edit


def test_defaults_of_a_signature_fill_in_over_grpc_alone(tmp_path: Path) -> None:
    servable = load(save_graph(tmp_path / "1", edit=with_default(np.array([5.0], np.float32))))
    assert ask(servable, ONE, "two") == {"w": [6.0]}
    assert ask(servable, {**ONE, "z": np.array([2.0], np.float32)}, "two") == {"w": [3.0]}
    assert error_of(servable, {"z": np.array([2.0], np.float32)}, "two")[1] == (
        "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {z}, or default input alias set: z"
    )
    with pytest.raises(StatusError, match="Missing named input: z in 'inputs' object"):
        ask_json(servable, '{"signature_name": "two", "inputs": {"x": [1.0]}}')


def test_a_default_that_is_no_tensor_fails_where_it_is_needed(tmp_path: Path) -> None:
    servable = load(save_graph(tmp_path / "1", edit=with_default(np.array([5.0], np.float32), tensor_content=b"abc")))
    assert ask(servable, ONE) == {"y": [2.0]}
    assert ask(servable, {**ONE, "z": np.array([2.0], np.float32)}, "two") == {"w": [3.0]}
    assert error_of(servable, ONE, "two") == ("INVALID_ARGUMENT", "tensor parsing error: z")


def test_a_default_of_another_type_is_the_engines_error(tmp_path: Path) -> None:
    servable = load(save_graph(tmp_path / "1", edit=with_default(np.array([5.0]))))
    assert error_of(servable, ONE, "two") == (
        "INVALID_ARGUMENT",
        "Expects arg[1] to be float but double is provided",
    )


def test_a_data_type_of_a_newer_tensorflow_is_a_number(tmp_path: Path) -> None:
    def edit(graph: Any) -> None:
        graph.signature_def["serving_default"].inputs["x"].dtype = 99

    servable = load(save_graph(tmp_path / "1", edit=edit))
    assert ask(servable, ONE) == {"y": [2.0]}
    metadata = json.loads(write_metadata("m", 1, servable.signature_defs))["metadata"]["signature_def"]
    assert metadata["signature_def"]["serving_default"]["inputs"]["x"]["dtype"] == 99
    with pytest.raises(StatusError, match=r"UNIMPLEMENTED: .* to type: unknown dtype enum \(99\)"):
        ask_json(servable, '{"instances": [1.0]}')


def test_a_sparse_input_of_tensorflow_1_is_refused_at_its_request(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1

    def build() -> Any:
        cells, x = v1.sparse_placeholder(tf.float32), v1.placeholder(tf.float32, [None], name="x")
        dense = signature_def({"cells": cells}, {"dense": v1.sparse.to_dense(cells)})
        return {"serving_default": dense, "plain": signature_def({"x": x}, {"y": x + 1.0})}

    servable = load(save_graph(tmp_path / "1", build))
    assert ask(servable, ONE, "plain") == {"y": [2.0]}
    code, text = error_of(servable, {"cells": np.array([1.0], np.float32)})
    assert (code, text) == (
        "INVALID_ARGUMENT",
        f"{NOT_FOUND.format(':0')}: input cells of signature serving_default is a sparse tensor, which a request "
        "cannot contain. Export a signature whose inputs are dense tensors.",
    )
    with pytest.raises(StatusError, match="input cells of signature serving_default is a sparse tensor"):
        ask_json(servable, '{"instances": [1.0]}')


@pytest.mark.parametrize(
    ("field", "value", "code", "text"),
    [
        ("op", "MissingOp", Code.NOT_FOUND, "Op type not registered 'MissingOp' in binary running on "),
        ("device", "/device:GPU:7", Code.INVALID_ARGUMENT, "Cannot assign a device for operation y"),
    ],
)
def test_what_the_engine_does_not_load_is_an_error_with_its_code(
    tmp_path: Path, field: str, value: str, code: Code, text: str
) -> None:
    def edit(graph: Any) -> None:
        (node,) = [node for node in graph.graph_def.node if node.name == "y"]
        setattr(node, field, value)

    with pytest.raises(StatusError) as caught:
        load(save_graph(tmp_path / "1", edit=edit))
    assert caught.value.code is code
    assert caught.value.message.startswith(text)


@pytest.mark.parametrize(("name", "form"), [("saved_model.pb", "binary"), ("saved_model.pbtxt", "text")])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_text("garbage {")
    with pytest.raises(StatusError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"DATA_LOSS: Can't parse {tmp_path / name} as {form} proto"
    (tmp_path / name).write_text("")  # a message without graphs
    with pytest.raises(StatusError, match=r"NOT_FOUND: Could not find meta graph def matching supplied tags: \{ serve"):
        load(tmp_path)


def test_a_binary_file_is_read_before_one_of_text(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "1")
    (path / "saved_model.pbtxt").write_text("garbage {")
    assert ask(load(path), ONE) == {"y": [2.0]}


def test_missing_variables_are_named(tmp_path: Path) -> None:
    import tensorflow as tf

    def build() -> Any:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        return {"serving_default": signature_def({"x": x}, {"y": x * tf.compat.v1.get_variable("v", initializer=2.0)})}

    path = save_graph(tmp_path / "1", build)
    assert ask(load(path), ONE) == {"y": [2.0]}
    shutil.rmtree(path / "variables")
    with pytest.raises(StatusError, match=f"{path} could not be loaded: .* not a valid checkpoint: {path}/variables"):
        load(path)


def test_a_model_without_signatures_is_loaded(tmp_path: Path) -> None:
    servable = load(save_graph(tmp_path / "1", dict))
    refusal = ("FAILED_PRECONDITION", 'Serving signature key "serving_default" not found.')
    assert error_of(servable, {}) == refusal


def test_a_signature_without_outputs_is_the_engines_error(tmp_path: Path) -> None:
    servable = load(save_graph(tmp_path / "1", edit=lambda graph: graph.signature_def["two"].outputs.clear()))
    text = "Must specify at least one target to fetch or execute."
    assert error_of(servable, {**ONE, "z": np.array([2.0], np.float32)}, "two") == ("INVALID_ARGUMENT", text)
    assert ask(servable, ONE) == {"y": [2.0]}


def test_names_may_hold_any_character(tmp_path: Path) -> None:
    name = 'a"b\n\0é'

    def edit(graph: Any) -> None:
        signature = graph.signature_def["serving_default"]
        signature.inputs[name].CopyFrom(signature.inputs.pop("x"))
        signature.outputs[name].CopyFrom(signature.outputs["y"])

    servable = load(save_graph(tmp_path / "1", edit=edit))
    assert ask(servable, {name: ONE["x"]}) == {name: [2.0], "y": [2.0]}
    answer = json.loads(ask_json(servable, json.dumps({"inputs": {name: [1.0]}})))
    assert answer == {"outputs": {name: [2.0], "y": [2.0]}}


def test_the_metadata_is_what_the_file_says(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    servable = load(save_graph(tmp_path / "1", edit=with_default(np.array([5.0], np.float32))))
    saved_model = saved_model_pb2.SavedModel.FromString((tmp_path / "1" / "saved_model.pb").read_bytes())
    assert servable.signature_defs == dict(saved_model.meta_graphs[0].signature_def)


def test_a_keras_export_of_two_inputs_is_served(tmp_path: Path) -> None:
    import keras

    a, b = keras.Input([2], name="a"), keras.Input([2], name="b", dtype="int32")
    total = keras.layers.Dense(1, kernel_initializer="ones", name="total")(a + keras.ops.cast(b, "float32"))
    model = keras.Model({"a": a, "b": b}, {"total": total, "kept": keras.layers.Dropout(0.5)(a)})
    model.export(str(tmp_path / "1"), verbose=False)
    servable = load(tmp_path / "1")
    inputs = {"a": np.array([[1.0, 2.0]], np.float32), "b": np.array([[3, 4]], np.int32)}
    for name in ("", "serving_default", "serve"):
        assert ask(servable, inputs, name) == {"kept": [[1.0, 2.0]], "total": [[10.0]]}
    answer = json.loads(ask_json(servable, '{"instances": [{"a": [1, 2], "b": [3, 4]}, {"a": [0, 0], "b": [1, 0]}]}'))
    assert answer["predictions"] == [{"kept": [1.0, 2.0], "total": [10.0]}, {"kept": [0.0, 0.0], "total": [1.0]}]


def test_a_keras_export_with_a_vocabulary_is_served(tmp_path: Path) -> None:
    import keras

    vectorize = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3)
    model = keras.Sequential([keras.layers.Input([], dtype="string", name="text"), vectorize])
    model.export(str(tmp_path / "1"), verbose=False)
    servable = load(tmp_path / "1")
    ((output, ids),) = ask(servable, {"text": np.array([b"b a nope", b""])}).items()
    assert (output, ids) == ("output_0", [[3, 2, 1], [0, 0, 0]])
