"""The file of canaries is read as it was written, and a wrong line is named."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.canaries.canary import CANARIES_FILE, CanaryQuery, read_canaries, write_canaries


def test_canaries_are_read_as_they_were_written(tmp_path: Path) -> None:
    vector = np.random.default_rng(0).normal(size=5).astype(np.float32)
    (tmp_path / "1").mkdir()

    path = write_canaries(
        tmp_path / "1", [CanaryQuery("你好", ("a", "b"), (0.5, 0.25), vector), CanaryQuery("x", candidates=("c",))]
    )
    first, second = read_canaries(tmp_path / "1")

    assert path == tmp_path / "1" / CANARIES_FILE
    assert (first.text, first.ids, first.scores) == ("你好", ("a", "b"), (0.5, 0.25))
    assert first.vector is not None
    assert first.vector.tobytes() == vector.tobytes()  # to the last bit
    assert (second.plain_vector, second.candidates) == (None, ("c",))
    assert second.to_dict() == {"text": "x", "candidates": ["c"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: a canary cannot be read"),
        ("[]", "line 2: a canary cannot be read: A canary must be an object with `text`."),
        ('{"text": " "}', "A canary's `text` must be a text that is not empty"),
        ('{"text": "a", "ids": "b"}', "A canary's `ids` must be a list. Received: ids='b'"),
        ('{"text": "a", "ids": [1]}', "A canary's `ids` must be a list of strings"),
        ('{"text": "a", "ids": ["b"], "scores": [1, 2]}', "Received: 1 ids and 2 scores"),
        ('{"text": "a", "vector": [[1]]}', "A canary's `vector` must be a list of finite numbers"),
        ('{"text": "a", "speed": 1}', "Received: 'speed' as well"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "canaries.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")

    with pytest.raises(InputError) as raised:
        read_canaries(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_no_file_and_no_canaries_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There are no canary queries at .*Name a file of lines such as"):
        read_canaries(tmp_path / "none.jsonl")
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(InputError, match="has no canary queries"):
        read_canaries(tmp_path / "none.jsonl")


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    canary = CanaryQuery("one\u2028two\x85three", ("a",))
    write_canaries(tmp_path / "canaries.jsonl", [canary])
    assert [one.text for one in read_canaries(tmp_path / "canaries.jsonl")] == [canary.text]
