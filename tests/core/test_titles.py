"""Titles in a version's files: read by id, none without a title, and damage."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.core.titles import TITLES_FOLDER, TitleFiles, make_title_files

IDS = ["zero", "one 好", "two"]
TITLES = ["", "猫 & <b>", "Two\nlines"]


def write(path: Path) -> Path:
    for name, content in make_title_files(IDS, TITLES).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def test_titles_are_found_by_ids_in_any_order(tmp_path: Path) -> None:
    files = TitleFiles(write(tmp_path))
    assert files.find(["two", "one 好", "zero", "two"]) == ["Two\nlines", "猫 & <b>", "", "Two\nlines"]
    assert files.find([]) == []


def test_documents_without_titles_have_no_files() -> None:
    assert make_title_files(IDS, ["", "", ""]) == {}
    assert make_title_files([], []) == {}


def test_titles_that_do_not_belong_to_the_ids_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path) / TITLES_FOLDER
    for name in ("ids", "id_rows"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[:-1])
    with pytest.raises(ModelFolderError, match=r"tfchain_titles cannot be read: its files do not belong together\."):
        TitleFiles(tmp_path)


def test_a_title_that_is_no_text_is_damage(tmp_path: Path) -> None:
    folder = write(tmp_path) / TITLES_FOLDER
    content = (folder / "titles").read_bytes()
    (folder / "titles").write_bytes(b"\xff" + content[1:])
    with pytest.raises(ModelFolderError, match=r"tfchain_titles cannot be read: 'utf-8' codec.* Export the version"):
        TitleFiles(tmp_path).find(["one 好"])
