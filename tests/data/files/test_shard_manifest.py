"""Tests of a set's manifest: read, verified, and refused if broken."""

import hashlib
import json
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.data.files.shard_manifest import Manifest, Shard, find_shards, read_manifest, verify_shards


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "part-00000.jsonl").write_text("{}\n")
    shard = Shard("part-00000.jsonl", 1, 3, hashlib.sha256(b"{}\n").hexdigest())
    made = Manifest("rows", "jsonl", "f" * 64, (shard,))
    (tmp_path / "manifest.json").write_text(json.dumps(made.to_dict()))
    return made


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, manifest: Manifest) -> None:
    assert read_manifest(tmp_path) == manifest
    assert verify_shards(tmp_path, manifest) == [tmp_path / "part-00000.jsonl"]


def test_a_changed_file_is_found_by_its_hash(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "part-00000.jsonl").write_text("[]\n")
    assert find_shards(tmp_path, manifest)  # of the same size
    with pytest.raises(InputError, match="part-00000.jsonl was changed after it was written: its SHA-256 is"):
        verify_shards(tmp_path, manifest)
    (tmp_path / "part-00000.jsonl").unlink()
    with pytest.raises(InputError, match="Expected: 3 bytes. Received: no such file. Fetch the set again"):
        verify_shards(tmp_path, manifest)


def test_what_is_no_manifest_of_shards_is_left_alone(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    for text in ("{}", "not JSON", "[1]", '{"format": 7}'):
        (tmp_path / "manifest.json").write_text(text)
        assert read_manifest(tmp_path) is None


def test_a_broken_or_newer_manifest_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "manifest.json"
    for change, expected in (
        ({"format": 2}, "has format 2. Expected: 1. A newer tfchain wrote it"),
        ({"shards": [{"name": "x"}]}, "is broken: KeyError 'records'"),
        ({"kind": "pictures"}, "is broken: ValueError kind='pictures'"),
        (
            {"shards": [{"name": "../x", "records": 1, "bytes": 1, "sha256": ""}]},
            "is broken: ValueError a shard's name",
        ),
    ):
        path.write_text(json.dumps({**manifest.to_dict(), **change}))
        with pytest.raises(InputError, match=expected):
            read_manifest(tmp_path)
