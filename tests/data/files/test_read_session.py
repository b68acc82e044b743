"""Broken records are counted and kept in a file, and end a run only above its limit."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.place import Place
from tfchain.data.files.read_session import ReadSession


def reject(session: ReadSession, number: int, record: Any = "") -> None:
    session.reject(InputError(f"bad {number}"), Place("f:", number), record)


def test_without_a_limit_the_first_error_ends_the_run() -> None:
    with pytest.raises(InputError, match="^bad 1$"):
        reject(ReadSession(), 1)


def test_above_the_limit_the_error_says_how_many(tmp_path: Path) -> None:
    session = ReadSession(2, tmp_path / "broken.jsonl")
    reject(session, 1)
    reject(session, 2)
    assert not session.is_over
    with pytest.raises(InputError, match=r"^bad 3 That is broken record number 3; `max_broken` allows 2\. .* has them"):
        reject(session, 3)
    assert session.is_over
    session = ReadSession(1)
    reject(session, 1)
    with pytest.raises(InputError, match="Keep them with `broken_file`"):
        reject(session, 2)


def test_the_side_file_has_each_record_with_its_place_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "broken.jsonl"
    ring: list[Any] = []
    ring.append(ring)
    session = ReadSession(9, path)
    session.start()
    assert path.read_text() == ""
    for number, record in enumerate(["有" * 2000, b"caf\xe9", {"a": 1}, ring, {"n": 10**5000}, "\ud83d"]):
        reject(session, number, record)
    session.finish()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["place"] for entry in entries] == [f"f:{number}" for number in range(6)]
    assert [entry["reason"] for entry in entries] == [f"bad {number}" for number in range(6)]
    shown = [entry["record"] for entry in entries]
    assert shown[:4] == ["有" * 1000, "caf\\xe9", '{"a": 1}', "a list that JSON cannot hold"]
    again = ReadSession(9, path)
    again.start()
    again.finish()
    assert path.read_text() == ""  # of the last run, which had none


def test_a_summary_is_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    session = ReadSession(5)
    reject(session, 1)
    reject(session, 2)
    session.note_encoding("gb18030", "a.txt")
    session.note_encoding("gb18030", "b.txt")
    session.finish()
    assert [record.getMessage() for record in caplog.records] == [
        "Read 2 files as gb18030, which is not UTF-8; the first is a.txt.",
        "Left out 2 broken records; the first: bad 1",
    ]


def test_an_error_that_ends_a_file_is_one_broken_record() -> None:
    def records() -> Any:
        yield 1
        raise InputError("the rest is gone")

    session = ReadSession(1)
    assert list(session.bear(records(), "f")) == [1]
    assert session.broken == 1
    with pytest.raises(InputError, match="the rest is gone That is broken record number 2"):
        list(session.bear(records(), "f"))
    assert session.broken == 2


@pytest.mark.parametrize("value", [-1, 1.5, True, "3"])
def test_a_limit_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="`max_broken` must be a whole number from 0. Received: max_broken="):
        ReadSession(value)


def test_a_side_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TfchainError, match="Could not write .*Not a directory"):
        ReadSession(1, tmp_path / "file" / "broken.jsonl").start()


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "9"])
def test_limits_must_be_above_zero(value: Any) -> None:
    with pytest.raises(InputError, match="`seconds` of the limits must be a number above 0. Received: seconds="):
        ReadLimits(seconds=value)


def test_small_files_may_shrink_as_they_like() -> None:
    limits = ReadLimits(compression_ratio=10)
    assert limits.allows_unpacked(64 * 2**20, 1)
    assert not limits.allows_unpacked(64 * 2**20 + 1, 1)
    assert limits.allows_unpacked(100 * 2**20, 10 * 2**20)
