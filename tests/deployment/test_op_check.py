from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfchain.core.errors import ExportError
from tfchain.deployment.op_check import check_ops, core_ops
from tfchain.runtime.tf_text import load_tf_text


def save(path: Path, function, spec: tf.TensorSpec | None = None) -> Path:
    module = tf.Module()
    spec = spec if spec is not None else tf.TensorSpec([None], tf.float32, name="x")
    wrapped = tf.function(function, input_signature=[spec]) if callable(function) else function
    tf.saved_model.save(module, str(path), signatures={"serving_default": wrapped})
    return path


def test_core_ops_are_fine_on_any_server(tmp_path: Path) -> None:
    report = check_ops(save(tmp_path / "m", lambda x: {"y": tf.nn.relu(x) + 1}))
    assert {"Relu", "AddV2", "Placeholder"} <= set(report.ops)
    assert report.oldest_server == "2.8"


def test_ops_of_tf_text_name_the_oldest_server_that_has_them(tmp_path: Path) -> None:
    text = load_tf_text()
    spec = tf.TensorSpec([None], tf.string, name="x")

    def old(x):
        return {"y": text.normalize_utf8(x, "NFKC")}

    def new(x):
        return {"y": text.utf8_binarize(x)}

    def both(x):
        return {"y": text.utf8_binarize(text.normalize_utf8(x, "NFKC"))}

    assert check_ops(save(tmp_path / "old", old, spec)).oldest_server == "2.8"
    assert check_ops(save(tmp_path / "new", new, spec)).oldest_server == "2.20"
    assert check_ops(save(tmp_path / "both", both, spec)).oldest_server == "2.20"  # which is behind 2.8


def test_an_xla_function_is_refused(tmp_path: Path) -> None:
    compiled = tf.function(
        lambda x: {"y": x * 2}, jit_compile=True, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    with pytest.raises(ExportError, match="XLA functions .* which stock TensorFlow Serving refuses"):
        check_ops(save(tmp_path / "m", lambda x: compiled(x)))


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (NodeDef(name="call", op="XlaCallModule"), "XlaCallModule"),
        (NodeDef(name="launch", op="XlaLaunch"), "XlaLaunch"),
        (NodeDef(name="compiled_node", op="Relu", attr={"_XlaMustCompile": AttrValue(b=True)}), "compiled_node"),
    ],
)
@pytest.mark.parametrize("place", ["graph", "function"])
def test_an_op_of_xlas_is_refused_wherever_it_is(tmp_path: Path, node: NodeDef, name: str, place: str) -> None:
    model = SavedModel()
    graph = model.meta_graphs.add().graph_def
    (graph.node if place == "graph" else graph.library.function.add().node_def).append(node)
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match=rf"XLA functions \({name}\), which stock TensorFlow Serving refuses"):
        check_ops(tmp_path)


def test_a_function_that_may_run_without_xla_is_fine(tmp_path: Path) -> None:
    model = SavedModel()
    node = model.meta_graphs.add().graph_def.node.add(name="relu", op="Relu")
    node.attr["_XlaMustCompile"].b = False
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert check_ops(tmp_path).ops == ["Relu"]


def test_a_python_function_is_refused(tmp_path: Path) -> None:
    def call(x):
        return {"y": tf.py_function(lambda value: value * 2, [x], tf.float32)}

    with pytest.raises(ExportError, match=r"calls Python \(EagerPyFunc\)"):
        check_ops(save(tmp_path / "m", call))


def test_an_op_that_the_server_has_not_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "m", lambda x: {"y": tf.nn.relu(x)})
    without = core_ops() - {"Relu"}
    monkeypatch.setattr("tfchain.deployment.op_check.core_ops", lambda: without)
    with pytest.raises(ExportError, match="ops that TensorFlow Serving 2.20 does not have: Relu"):
        check_ops(path)


def test_the_list_of_core_ops_is_tensorflows_own() -> None:
    assert {"MatMul", "VarHandleOp", "StringLower", "TopKV2"} <= core_ops()
    assert not any("Wordpiece" in op or op.startswith("TFText>") for op in core_ops())
