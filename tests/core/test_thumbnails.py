"""Thumbnails of a version: found by id, and nothing else is."""

from pathlib import Path

import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.core.thumbnails import ThumbnailFiles, make_thumbnail_files

JPEG = b"\xff\xd8\xff and the rest"


def write(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def test_a_thumbnail_is_found_by_its_id(tmp_path: Path) -> None:
    files = ThumbnailFiles(write(tmp_path, make_thumbnail_files(["a", "b", "c"], [JPEG, b"", b"<svg>"])))
    assert files.find("a") == JPEG
    assert [files.find(name) for name in ("b", "d", "")] == [None] * 3
    assert files.find("c") is None  # no JPEG: never sent as one


def test_without_thumbnails_there_are_no_files(tmp_path: Path) -> None:
    assert make_thumbnail_files(["a"], [b""]) == {}
    with pytest.raises(ModelFolderError, match="tfchain_thumbnails"):
        ThumbnailFiles(tmp_path)
