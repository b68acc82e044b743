"""Strings by row from a file."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.core.string_file import StringFile, write_strings

STRINGS = [b"a", b"", "你好".encode(), b"\x00\xff", b"last"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_strings(tmp_path / "strings", iter(STRINGS))
    return tmp_path / "strings"


@pytest.mark.parametrize("kept_bytes", [0, 13])
def test_any_rows_come_back_in_any_order(path: Path, kept_bytes: int) -> None:
    file = StringFile(path, kept_bytes=kept_bytes)
    assert len(file) == 5
    assert file.take([4, 1, 2, 2, 0, 3]) == [b"last", b"", STRINGS[2], STRINGS[2], b"a", b"\x00\xff"]
    assert file.take([]) == []


def test_no_strings_are_a_file_too(tmp_path: Path) -> None:
    write_strings(tmp_path / "none", [])
    assert len(StringFile(tmp_path / "none")) == 0


@pytest.mark.parametrize("kept_bytes", [0, 13])
def test_a_removed_file_stays_readable(path: Path, kept_bytes: int) -> None:
    file = StringFile(path, kept_bytes=kept_bytes)
    path.unlink()
    assert file.take([0]) == [b"a"]


def test_a_file_truncated_later_is_an_error_and_not_the_end_of_the_process(path: Path) -> None:
    file = StringFile(path, kept_bytes=12)
    with open(path, "r+b") as opened:
        opened.truncate(3)
    assert file.take([0]) == [b"a"]
    with pytest.raises(ModelFolderError, match="ends before its last string"):
        file.take([4])


def test_a_small_file_is_kept_in_memory(path: Path) -> None:
    file = StringFile(path)
    path.write_bytes(b"")
    assert file.take([4]) == [b"last"]


@pytest.mark.parametrize("offsets", [[0, 1], [1, 14], [0, 20, 14], [], [[0, 14]]])
def test_offsets_that_do_not_fit_are_refused(path: Path, offsets: list[int]) -> None:
    np.save(path.with_name("strings.offsets.npy"), np.array(offsets, dtype=np.int64))
    with pytest.raises(ModelFolderError, match="its offsets do not fit 13 bytes"):
        StringFile(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="nothing cannot be read"):
        StringFile(tmp_path / "nothing")
