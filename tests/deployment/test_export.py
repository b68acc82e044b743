import contextlib
import dataclasses
import errno
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfchain.core.errors import ExportError, InputError, TfchainError
from tfchain.core.proof import Proof
from tfchain.core.signatures import CLASSIFY
from tfchain.deployment.export import compare, export
from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.servables.saved_model import SavedModelServable


def affine() -> tuple[tf.Module, dict]:
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    spec = [tf.TensorSpec([None], tf.float32, name="x")]
    return module, {"serving_default": tf.function(lambda x: {"y": module.weight * x + 1}, input_signature=spec)}


def proof(*expected: float) -> Proof:
    inputs = np.arange(len(expected), dtype="float32")
    return Proof("serving_default", {"x": inputs}, {"y": np.array(expected, "float32")})


def test_versions_are_numbered_and_carry_description_and_warm_up(tmp_path: Path) -> None:
    module, signatures = affine()
    first = export(tmp_path / "base", module, signatures, proofs=[proof(1, 3, 5)], description={"documents": 7})
    second = export(tmp_path / "base", module, signatures)
    assert [first.name, second.name] == ["1", "2"]
    described = json.loads((first / "assets.extra" / "tfchain.json").read_text())
    assert described["documents"] == 7
    assert described["signatures"] == ["serving_default"]
    assert "Mul" in described["ops"]
    records = list(tf.data.TFRecordDataset(str(first / "assets.extra" / "tf_serving_warmup_requests")))
    assert len(records) == 1
    loaded = tf.saved_model.load(str(first))
    np.testing.assert_allclose(loaded.signatures["serving_default"](tf.constant([4.0]))["y"], [9])


def test_a_version_that_answers_otherwise_never_appears(tmp_path: Path) -> None:
    module, signatures = affine()
    export(tmp_path / "base", module, signatures, proofs=[proof(1, 3)])
    with pytest.raises(ExportError, match="'serving_default' gave for 'y' values that are 1 away.*No version was writ"):
        export(tmp_path / "base", module, signatures, proofs=[proof(1, 4)])
    assert [one.name for one in (tmp_path / "base").iterdir()] == ["1"]


def test_files_are_added_to_a_proven_version_before_it_appears_or_it_never_does(tmp_path: Path) -> None:
    module, signatures = affine()
    seen: list[list[str]] = []

    def complete(folder: Path) -> None:
        seen.append(sorted(list_versions(tmp_path / "base")))
        assert (folder / "saved_model.pb").is_file()
        if seen[1:]:
            raise InputError("this version cannot be asked")
        (folder / "added.txt").write_text("added")

    version = export(tmp_path / "base", module, signatures, proofs=[proof(1, 3)], complete=complete)
    assert (version / "added.txt").read_text() == "added"
    with pytest.raises(InputError, match="cannot be asked"):
        export(tmp_path / "base", module, signatures, complete=complete)
    assert seen == [[], [1]]
    assert [one.name for one in (tmp_path / "base").iterdir()] == ["1"]


def test_a_version_that_does_not_run_never_appears(tmp_path: Path) -> None:
    module = tf.Module()
    spec = [tf.TensorSpec([None], tf.float32, name="x")]

    def broken(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 1.0)]):
            return {"y": tf.identity(x)}

    with pytest.raises(ExportError, match="does not run as TensorFlow Serving would run it: INVALID_ARGUMENT"):
        export(
            tmp_path / "base",
            module,
            {"serving_default": tf.function(broken, input_signature=spec)},
            proofs=[proof(0, 1)],
        )
    assert list_versions(tmp_path / "base") == {}


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, signatures = affine()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tfchain.deployment.export._write_warm_up", full)
    with pytest.raises(TfchainError, match="No space left on device. What was there before is unchanged"):
        export(tmp_path / "base", module, signatures)
    assert list((tmp_path / "base").iterdir()) == []


def test_a_number_taken_by_another_process_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, signatures = affine()
    numbers = iter([1, 2])

    def next_version(base_path: Path) -> int:
        (base_path / "1" / "theirs").mkdir(parents=True, exist_ok=True)  # after the number was asked for
        return next(numbers)

    monkeypatch.setattr("tfchain.deployment.export.next_version", next_version)
    assert export(tmp_path / "base", module, signatures).name == "2"
    assert [one.name for one in (tmp_path / "base" / "1").iterdir()] == ["theirs"]


def ranking(ids: list[bytes], scores: list[float]) -> dict[str, np.ndarray]:
    return {"ids": np.array([ids], dtype=object), "scores": np.array([scores], "float32")}


def test_tied_hits_may_come_in_either_order_and_others_may_not() -> None:
    ties = np.array([[False, True, True, False]])
    expected = Proof("search", {}, ranking([b"a", b"b", b"c", b"d"], [0.9, 0.5, 0.5, 0.1]), {"ids": ties})
    compare(expected, ranking([b"a", b"c", b"b", b"d"], [0.9, 0.5, 0.5, 0.1]))
    with pytest.raises(ExportError, match=r"for 'ids' b'z', expected b'd' at \(0, 3\)"):
        compare(expected, ranking([b"a", b"b", b"c", b"z"], [0.9, 0.5, 0.5, 0.1]))
    with pytest.raises(ExportError, match="for 'scores' values that are 0.1 away"):
        compare(expected, ranking([b"a", b"b", b"c", b"d"], [0.9, 0.5, 0.5, 0.2]))


@pytest.mark.parametrize(
    ("expected", "tolerance", "allowed", "refused"),
    [
        (0.5, 1e-5, 0.9e-5, 1.2e-5),
        (-1000.0, 1e-5, 0.9e-2, 1.2e-2),  # relative to the largest, where that is above 1
        (0.5, 1e-2, 0.9e-2, 1.2e-2),
        (7.0, 0.0, 0.0, 1e-5),
    ],
)
def test_a_number_may_differ_by_the_tolerance_and_no_more(
    expected: float, tolerance: float, allowed: float, refused: float
) -> None:
    outputs = {"y": np.array([0.25, expected], "float32")}
    asked = Proof("serving_default", {}, outputs, tolerance=tolerance)
    for difference in (allowed, -allowed):
        compare(asked, {"y": outputs["y"] + np.float32(difference)})
    for difference in (refused, -refused):
        with pytest.raises(ExportError, match="values that are .* away"):
            compare(asked, {"y": outputs["y"] + np.array([0, difference], "float32")})


def test_an_answer_of_another_shape_is_a_difference() -> None:
    with pytest.raises(ExportError, match=r"for 'y' the shape \(3,\), expected \(2,\)"):
        compare(proof(1.0, 1.0), {"y": np.ones(3, "float32")})


def test_warm_up_records_are_the_first_inputs_of_the_proofs_that_are_meant_for_it(tmp_path: Path) -> None:
    module, signatures = affine()
    proofs = [proof(1, 3, 5, 7, 9, 11), dataclasses.replace(proof(1, 3), is_warm_up=False), proof(1, 3)]
    version = export(tmp_path / "base", module, signatures, proofs=proofs, files={"model.tflite": b"a file beside"})
    records = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    assert [request.model_spec.signature_name for request in requests] == ["serving_default"] * 2
    assert [tf.make_ndarray(request.inputs["x"]).tolist() for request in requests] == [[0, 1, 2, 3], [0, 1]]
    assert (version / "model.tflite").read_bytes() == b"a file beside"


def test_the_warm_up_record_of_a_classification_holds_examples(tmp_path: Path) -> None:
    module = tf.Module()

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
        return {"scores": x[:, None]}

    examples = []
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        feature = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[value]))}
        examples.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    inputs = {"inputs": np.array(examples, dtype=object)}
    asked = Proof("marks", inputs, {"scores": np.array([[1], [2], [3], [4], [5]], "float32")})
    spec = [tf.TensorSpec([None], tf.string, name="inputs")]
    signatures = {"marks": tf.function(classify, input_signature=spec)}
    version = export(tmp_path / "base", module, signatures, proofs=[asked], methods={"marks": CLASSIFY})
    (record,) = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    log = PredictionLog.FromString(record.numpy())
    assert log.WhichOneof("log_type") == "classify_log"
    assert log.classify_log.request.model_spec.signature_name == "marks"
    written = log.classify_log.request.input.example_list.examples
    assert [one.features.feature["x"].float_list.value[0] for one in written] == [1, 2, 3, 4]


def test_a_version_whose_warm_up_fails_never_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, signatures = affine()

    def write(path: Path, *_: object) -> None:
        path.parent.mkdir()
        path.write_bytes(b"no records at all")

    monkeypatch.setattr("tfchain.deployment.export._write_warm_up", write)
    with pytest.raises(ExportError, match="does not run as TensorFlow Serving would run it: DATA_LOSS"):
        export(tmp_path / "base", module, signatures)
    assert list_versions(tmp_path / "base") == {}


@pytest.mark.parametrize("expected", [3, 4])
def test_the_version_that_was_proved_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: float
) -> None:
    module, signatures = affine()
    closed: list[SavedModelServable] = []
    original = SavedModelServable.close
    monkeypatch.setattr(SavedModelServable, "close", lambda self: (closed.append(self), original(self)))
    with contextlib.suppress(ExportError):
        export(tmp_path / "base", module, signatures, proofs=[proof(1, expected)])
    assert len(closed) == 1
    assert bool(list_versions(tmp_path / "base")) is (expected == 3)


def test_a_base_path_that_is_a_file_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").touch()
    monkeypatch.setattr("tfchain.deployment.export._write", lambda *_: pytest.fail("a version was written"))
    with pytest.raises(InputError, match=r"Received: .*/base, where .*/base is not a folder"):
        export(tmp_path / "base", *affine())


def test_not_a_number_is_a_difference() -> None:
    with pytest.raises(ExportError, match="nan away"):
        compare(proof(1.0), {"y": np.array([np.nan], "float32")})


def test_booleans_are_compared_as_they_are_but_where_rounding_decides() -> None:
    near = {"y": np.array([False, True])}
    expected = Proof("serving_default", {}, {"y": np.array([True, False])}, near)
    compare(expected, {"y": np.array([True, True])})
    with pytest.raises(ExportError, match="gave for 'y' .*False.*, expected .*True.* at \\(0,\\)"):
        compare(expected, {"y": np.array([False, False])})


def test_what_a_killed_export_left_goes_after_an_hour(tmp_path: Path) -> None:
    module, signatures = affine()
    for name, age in (("old", 7200), ("young", 60)):
        left = tmp_path / "base" / f".partial-{name}-1"
        left.mkdir(parents=True)
        os.utime(left, (time.time() - age,) * 2)
    export(tmp_path / "base", module, signatures)
    assert sorted(one.name for one in (tmp_path / "base").iterdir()) == [".partial-young-1", "1"]
