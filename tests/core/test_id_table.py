"""Rows of documents by their ids: any order, unknown ids, and damage."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.core.id_table import IdTable, make_id_files, to_npy

IDS = [f"document {number}" for number in range(50)] + ["好", ""]


def write(path: Path) -> Path:
    for name, content in make_id_files(IDS).items():
        (path / name).write_bytes(content)
    return path


def test_each_id_has_its_row(tmp_path: Path) -> None:
    table = IdTable(write(tmp_path))
    assert len(table) == 52
    assert table.find(IDS[::-1]) == list(range(52))[::-1]
    assert table.find([]) == []


def test_an_unknown_id_is_named_damage(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="it lacks a document that the search found"):
        IdTable(write(tmp_path)).find(["document 1", "document 50"])


@pytest.mark.parametrize("content", [b"", b"x", to_npy(np.zeros(3, np.int32)), to_npy(np.zeros((52, 1), np.int32))])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path) / "id_rows.npy").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"cannot be read: .*Export the version again\."):
        IdTable(tmp_path)
