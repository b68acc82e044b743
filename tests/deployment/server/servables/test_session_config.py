"""The session's configuration: a file, and what the flags change of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.any_models import ask, save_graph, signature_def
from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.session_config import SessionOptions, make_session_config
from tfchain.deployment.server.status import StatusError
from tfchain.models.engines.int8_product import has_int8_products


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session.pbtxt"
    path.write_text("intra_op_parallelism_threads: 3\nallow_soft_placement: true\ngpu_options { allow_growth: true }")
    return path


def test_without_options_it_is_tensorflows_own() -> None:
    assert make_session_config().SerializeToString() == b""


def test_a_file_says_what_the_flags_do_not(file: Path) -> None:
    config = make_session_config(SessionOptions(str(file), gpu_memory_fraction=0.25), inter_op_threads=2)
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (3, 2)
    assert config.allow_soft_placement
    assert config.gpu_options.allow_growth
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.25
    assert make_session_config(SessionOptions(str(file)), intra_op_threads=1).intra_op_parallelism_threads == 1


def test_mixed_precision_asks_for_one_rewrite_and_keeps_the_files_others(file: Path) -> None:
    file.write_text("graph_options { rewrite_options { constant_folding: OFF } }")
    rewrites = make_session_config(SessionOptions(str(file), mixed_precision="bfloat16")).graph_options.rewrite_options
    assert (rewrites.auto_mixed_precision_onednn_bfloat16, rewrites.constant_folding) == (1, 2)  # ON, OFF


@pytest.mark.parametrize("content", ["bogus: 1", "intra_op_parallelism_threads: many", "\xff"])
def test_a_file_that_is_no_config_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "session.pbtxt"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=f"^Invalid protobuf file: '{path}'"):
        make_session_config(SessionOptions(str(path)))
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Invalid protobuf file"):
        load_saved_model(save_graph(tmp_path / "1"), LoadOptions(session=SessionOptions(str(path))))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/nope cannot be read: No such file or directory"):
        make_session_config(SessionOptions(str(tmp_path / "nope")))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mixed_precision": "float16"}, "`mixed_precision` must be 'bfloat16' or empty. Received: .*'float16'"),
        ({"gpu_memory_fraction": 1.5}, "must be between 0 and 1. Received: per_process_gpu_memory_fraction=1.5"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], error: str) -> None:
    with pytest.raises(InputError, match=error):
        SessionOptions(**options)


def test_the_file_reaches_the_session(tmp_path: Path, file: Path) -> None:
    def edit(graph: Any) -> None:
        (node,) = [node for node in graph.graph_def.node if node.name == "y"]
        node.device = "/device:GPU:7"

    path = save_graph(tmp_path / "1", edit=edit)
    one = {"x": np.array([1.0], np.float32)}
    with pytest.raises(StatusError, match="Cannot assign a device for operation y"):
        load_saved_model(path)
    soft = load_saved_model(path, LoadOptions(session=SessionOptions(str(file))))
    assert ask(soft, one) == {"y": [2.0]}


def test_mixed_precision_rounds_products_where_the_cpu_can(tmp_path: Path) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((64, 64)).astype(np.float32)

    def build() -> Any:
        x = tf.compat.v1.placeholder(tf.float32, [None, 64], name="x")
        hidden = tf.nn.relu(tf.matmul(x, tf.compat.v1.get_variable("kernel", initializer=kernel)))
        return {
            "serving_default": signature_def({"x": x}, {"y": tf.nn.relu(tf.matmul(hidden, hidden, transpose_b=True))})
        }

    path = save_graph(tmp_path / "1", build)
    values = rng.standard_normal((8, 64)).astype(np.float32)
    full, rounded = (
        np.array(
            ask(load_saved_model(path, LoadOptions(session=SessionOptions(mixed_precision=name))), {"x": values})["y"]
        )
        for name in ("", "bfloat16")
    )
    difference = np.abs(rounded - full).max() / np.abs(full).max()
    assert difference < 0.02
    # oneDNN rounds, on AVX-512; TensorFlow has it on by default where there are int8 instructions, too.
    if "avx512f" in Path("/proc/cpuinfo").read_text() and has_int8_products():
        assert difference > 1e-5  # bfloat16 has eight bits


@pytest.mark.parametrize(
    ("intra_op_threads", "num_cores", "expected"),
    [(0, 0, 0), (0, 8, 8), (3, 8, 3)],
    ids=["tensorflow", "cores", "flag"],
)
def test_an_op_has_the_threads_of_the_flag_or_all_cores_that_a_version_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intra_op_threads: int, num_cores: int, expected: int
) -> None:
    asked: list[int] = []

    def refuse(_: SessionOptions, *, intra_op_threads: int, inter_op_threads: int) -> None:
        asked.append(intra_op_threads)
        raise InputError("no session is needed here")

    monkeypatch.setattr("tfchain.deployment.server.servables.saved_model.make_session_config", refuse)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(StatusError, match="no session"):
        load_saved_model(tmp_path, LoadOptions(intra_op_threads=intra_op_threads, num_cores=num_cores))
    assert asked == [expected]
