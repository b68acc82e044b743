"""Metadata in a version's files: the same filters and values as in memory, and damage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.core.filters.columns import MetadataColumns
from tfchain.core.filters.files import METADATA_FOLDER, MetadataFiles, make_metadata_files
from tfchain.core.filters.filter import parse_filter

METADATA: list[dict[str, Any]] = [
    {"language": "en", "year": 2020, "tags": ["a", "好"]},
    {},
    {"year": 2**60 + 1, "tags": "a", "empty": None, "author": {"name": "Ann"}},
    {"year": 0.1, "draft": True},
]
IDS = ["zero", "one 好", "two", "three"]


def write(path: Path, ids: list[str], metadata: list[dict[str, Any]]) -> Path:
    for name, content in make_metadata_files(ids, metadata).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def files(tmp_path: Path) -> MetadataFiles:
    return MetadataFiles(write(tmp_path, IDS, METADATA))


@pytest.mark.parametrize(
    "condition",
    [{"year": {"$gt": 1}}, {"year": 2**60 + 1}, {"year": 2**60}, {"tags": "好"}, {"author.name": "Ann"}, {"no": 1},
     {"draft": True}, {"draft": 1}, {"empty": {"$exists": True}}, {"$not": {"tags": {"$in": ["a", 1]}}}],
    ids=repr,
)  # fmt: skip
def test_filters_find_the_same_as_in_memory(files: MetadataFiles, condition: Any) -> None:
    asked = parse_filter(condition)
    assert asked.find(files).tolist() == asked.find(MetadataColumns(METADATA)).tolist()


def test_metadata_is_found_by_ids_in_any_order(files: MetadataFiles) -> None:
    assert files.find(["two", "one 好", "zero", "two"]) == [METADATA[2], {}, METADATA[0], METADATA[2]]
    assert files.find([]) == []
    assert (files.num_documents, files.keys) == (4, ["language", "year", "tags", "author.name", "draft"])


def test_documents_without_metadata_have_no_files() -> None:
    assert make_metadata_files(IDS, [{}] * 4) == {}
    assert make_metadata_files([], []) == {}


def test_metadata_without_a_value_has_no_keys(tmp_path: Path) -> None:
    files = MetadataFiles(write(tmp_path, IDS[:1], [{"a": None}]))
    assert (files.keys, files.column("a"), files.find(["zero"])) == ([], None, [{"a": None}])


def test_an_unknown_document_is_named_damage(files: MetadataFiles) -> None:
    with pytest.raises(ModelFolderError, match="it lacks a document that the search found. Export the version again."):
        files.find(["zero", "nobody"])


def _drop(folder: Path) -> None:
    (folder / "codes.npy").unlink()


def _shorten(folder: Path) -> None:
    np.save(folder / "rows.npy", np.load(folder / "rows.npy")[:-1])


def _forget_a_key(folder: Path) -> None:
    (folder / "keys.json").write_text(json.dumps(["language"]))


def _no_json(folder: Path) -> None:
    (folder / "keys.json").write_text("{")


@pytest.mark.parametrize("damage", [_drop, _shorten, _forget_a_key, _no_json], ids=lambda damage: damage.__name__)
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, damage: Any) -> None:
    damage(write(tmp_path, IDS, METADATA) / METADATA_FOLDER)
    with pytest.raises(ModelFolderError, match=r"tfchain_metadata cannot be read: .*Export the version again\."):
        MetadataFiles(tmp_path)


def test_entries_out_of_range_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, IDS, METADATA) / METADATA_FOLDER
    np.save(folder / "rows.npy", np.load(folder / "rows.npy") + 4)
    with pytest.raises(ModelFolderError, match="its entries are out of range"):
        MetadataFiles(tmp_path).column("year")
