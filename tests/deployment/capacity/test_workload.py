"""What a version is asked: its warm-up records, or given texts."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.capacity.workload import WARM_UP, make_workload, read_workload, widen_workload


def write_records(version_path: Path, requests: list[tuple[str, dict[str, np.ndarray]]]) -> None:
    """Writes warm-up records by hand; nobody here looks at their checksums."""
    from tfchain.runtime.tf_protos import find_message, load_serving_protos

    load_serving_protos()
    log_type = find_message("tensorflow.serving.PredictionLog")
    content = b""
    for signature, inputs in requests:
        log = log_type()
        log.predict_log.request.model_spec.signature_name = signature
        for name, array in inputs.items():
            fill(log.predict_log.request.inputs[name], array)
        data = log.SerializeToString()
        content += struct.pack("<QI", len(data), 0) + data + b"\0\0\0\0"
    (version_path / WARM_UP).parent.mkdir(parents=True)
    (version_path / WARM_UP).write_bytes(content)


def fill(tensor: Any, array: np.ndarray) -> None:
    for size in array.shape:
        tensor.tensor_shape.dim.add().size = size
    if array.dtype == object:
        tensor.dtype = 7  # DT_STRING
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.dtype = 3  # DT_INT32
        tensor.int_val.extend(array.ravel().tolist())


def to_texts(*texts: str) -> np.ndarray:
    return np.array([text.encode() for text in texts], dtype=object)


def test_the_tasks_own_signature_is_asked(tmp_path: Path) -> None:
    ids = np.array([[1, 2], [3, 4]], dtype=np.int32)
    write_records(
        tmp_path,
        [
            ("embed_ids", {"token_ids": ids}),
            ("embed", {"text": to_texts("x")}),
            ("classify_text", {"text": to_texts("a cat", "", "你好")}),
        ],
    )

    workload = read_workload(tmp_path)

    assert workload.signature == "classify_text"
    assert workload.rows == ({"text": "a cat"}, {"text": "你好"})  # an empty text asks for nothing
    assert read_workload(tmp_path, signature="embed_ids").rows == ({"token_ids": [1, 2]}, {"token_ids": [3, 4]})


def test_the_default_signature_comes_first(tmp_path: Path) -> None:
    pair = {"text": to_texts("q"), "text_pair": to_texts("d")}
    write_records(tmp_path, [("rerank", {"text": to_texts("x")}), ("", pair)])

    workload = read_workload(tmp_path)

    assert workload.signature == "serving_default"
    assert workload.rows == ({"text": "q", "text_pair": "d"},)
    assert sorted(workload.texts) == ["d", "q"]


def test_lists_of_other_lengths_cannot_be_in_one_request(tmp_path: Path) -> None:
    short, long = np.array([[1, 2]], dtype=np.int32), np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int32)
    write_records(tmp_path, [("embed_ids", {"token_ids": short}), ("embed_ids", {"token_ids": long})])

    assert read_workload(tmp_path).rows == ({"token_ids": [1, 2, 3]}, {"token_ids": [4, 5, 6]})


def test_a_version_without_records_needs_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no warm-up records for the signature 'serving_default'.*Pass texts"):
        read_workload(tmp_path)


def test_damaged_records_are_named(tmp_path: Path) -> None:
    (tmp_path / WARM_UP).parent.mkdir()
    (tmp_path / WARM_UP).write_bytes(b"not a record")

    with pytest.raises(InputError, match="The warm-up records cannot be read"):
        read_workload(tmp_path)


def test_bodies_take_all_questions_in_turn() -> None:
    workload = make_workload(["a", "b", {"text": "c"}], signature="embed")

    bodies = [json.loads(body) for body in workload.make_bodies(2, count=3)]

    assert [body["signature_name"] for body in bodies] == ["embed"] * 3
    assert sorted(row["text"] for body in bodies for row in body["instances"]) == ["a", "a", "b", "b", "c", "c"]


def test_documents_beginnings_become_questions() -> None:
    workload = widen_workload(make_workload(["a"]), ["one two three four", " ", "a"], words=2)

    assert workload.texts == ["a", "one two"]


def test_pairs_are_left_as_they_are() -> None:
    workload = make_workload([{"text": "q", "text_pair": "d"}])

    assert widen_workload(workload, ["more"]) is workload


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "must have at least one text"), ([""], "at position 0"), (["a", 5], "Received: 5 at position 1")],
)
def test_what_is_not_a_text_is_refused(texts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_workload(texts)
