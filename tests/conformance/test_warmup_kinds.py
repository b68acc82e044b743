"""Warm-up records of each kind: run at load, and a failure of each fails the load."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.conformance.conftest import VERSION
from tests.conformance.example_models import CLASSIFY, PREDICT, REGRESS, fill_input, fill_spec, to_example
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.warmup import WARMUP_FILE, run_warmup


@pytest.fixture
def version_path(graph_path: Path, tmp_path: Path) -> Path:
    """A copy of the version to which a test may add records."""
    return shutil.copytree(graph_path / str(VERSION), tmp_path / "1")


@pytest.fixture(scope="module")
def servable(graph_path: Path) -> Iterator[Servable]:
    loaded = load_saved_model(graph_path / str(VERSION))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def checked_servable(graph_path: Path) -> Iterator[Servable]:
    loaded = load_saved_model(graph_path / str(VERSION), LoadOptions(checks_method_names=True))
    yield loaded
    loaded.close()


def make_record(kind: str, signature: str, *examples: Any, method: str = "") -> Any:
    from tensorflow_serving.apis import prediction_log_pb2

    record = prediction_log_pb2.PredictionLog()
    if kind == "session_run_log":
        record.session_run_log.SetInParent()
        return record
    request = getattr(record, kind).request
    if kind == "multi_inference_log":
        fill_spec(request.tasks.add(method_name=method).model_spec, signature, name="any")
    else:
        fill_spec(request.model_spec, signature, name="")  # stock looks at the name in a MultiInference only
    fill_input(request.input, *examples)
    return record


def write(version_path: Path, *records: Any) -> None:
    import tensorflow as tf

    (version_path / WARMUP_FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(version_path / WARMUP_FILE)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def test_records_of_every_kind_are_run(servable: Servable, version_path: Path) -> None:
    example = to_example(x=[0.5])
    write(
        version_path,
        make_record("classify_log", "scores", example, example),
        make_record("regress_log", "regress", example),
        make_record("multi_inference_log", "column", example, method=REGRESS),
    )
    column = servable.signatures["column"].outputs["outputs"].tensor_name  # a joint run names tensors of the graph
    spy = MagicMock(wraps=servable, signatures=servable.signatures)
    assert run_warmup(spy, version_path, num_iterations=2) == 3
    assert [list(call.args[0].outputs) for call in spy.run.call_args_list] == [
        ["scores"], ["scores"], ["outputs"], ["outputs"], [column], [column],
    ]  # fmt: skip
    assert [len(call.args[1]["inputs"]) for call in spy.run.call_args_list] == [2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "signature", "method", "error"),
    [
        ("classify_log", "nope", "", "INVALID_ARGUMENT: No signature was found with the name: nope"),
        ("regress_log", "scores", "", "INVALID_ARGUMENT: No regression outputs found in SignatureDef"),
        ("multi_inference_log", "", PREDICT, f"UNIMPLEMENTED: Unsupported signature method_name: {PREDICT}"),
        ("session_run_log", "", "", "UNIMPLEMENTED: Unsupported log_type for warmup: 5"),
    ],
)
def test_a_record_that_fails_fails_the_load(
    servable: Servable, version_path: Path, kind: str, signature: str, method: str, error: str
) -> None:
    write(version_path, make_record(kind, signature, to_example(), method=method))
    with pytest.raises(StatusError) as caught:
        run_warmup(servable, version_path)
    assert str(caught.value).startswith(error)


def test_an_empty_record_fails_the_load(servable: Servable, version_path: Path) -> None:
    write(version_path, make_record("classify_log", "scores"))
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Input is empty"):
        run_warmup(servable, version_path)


def test_a_multi_inference_record_without_tasks_fails_the_load(servable: Servable, version_path: Path) -> None:
    record = make_record("multi_inference_log", "", to_example(), method=CLASSIFY)
    record.multi_inference_log.request.ClearField("tasks")
    write(version_path, record)
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: A MultiInferenceRequest must have at least one task"):
        run_warmup(servable, version_path)


def test_method_names_are_checked_at_load_where_the_flag_says_so(
    servable: Servable, checked_servable: Servable, version_path: Path
) -> None:
    write(version_path, make_record("classify_log", "predict", to_example()))
    assert run_warmup(servable, version_path) == 1
    with pytest.raises(StatusError, match=f"method_name to be {CLASSIFY}. Was: {PREDICT}"):
        run_warmup(checked_servable, version_path)
