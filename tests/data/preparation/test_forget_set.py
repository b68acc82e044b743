"""Tests of forgetting in prepared sets: the set stays whole, and is read as before."""

import json
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.data.documents.reading import read_documents
from tfchain.data.files.shard_manifest import read_manifest
from tfchain.data.forgetting.target import Target
from tfchain.data.preparation import forget_set
from tfchain.data.preparation.forget_set import forget_in_set
from tfchain.data.preparation.prepare import prepare

TARGET = Target(frozenset({"d3"}), frozenset({"text 3"}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [{"id": f"d{number}", "text": f"text {number}"} for number in range(7)]
    prepare(documents, [], output=tmp_path / "set", shard_records=3)
    return tmp_path / "set"


def check_is_whole(folder: Path) -> None:
    """The files are those of the manifest, by `sha256sum` and `wc`."""
    import hashlib

    for shard in read_manifest(folder).shards:
        data = (folder / shard.name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (shard.sha256, shard.bytes)
        assert data.count(b"\n") == shard.records


def test_a_set_without_the_document_is_whole(folder: Path):
    before = read_manifest(folder)
    assert forget_in_set(folder, TARGET) == 1
    check_is_whole(folder)
    after = read_manifest(folder)
    assert [shard.records for shard in after.shards] == [3, 2, 1]
    assert [mine.sha256 == other.sha256 for mine, other in zip(before.shards, after.shards, strict=True)] == [
        True,
        False,
        True,
    ]
    assert [document.id for document in read_documents(folder)] == ["d0", "d1", "d2", "d4", "d5", "d6"]
    card = json.loads((folder / "card.json").read_text())
    assert (card["records"], card["forgotten"], card["fingerprint"]) == (6, 1, after.fingerprint)
    assert after.fingerprint != before.fingerprint
    page = (folder / "README.md").read_text()
    assert after.fingerprint in page
    assert "6 of 7 read" in page


def test_a_set_that_does_not_hold_it_stays_as_it_is(folder: Path):
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert forget_in_set(folder, Target(frozenset({"other"}))) == 0
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before


def test_a_killed_call_is_put_right_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forget_set, "write_descriptions", die)
        with pytest.raises(KeyboardInterrupt):
            forget_in_set(folder, TARGET)
    assert forget_in_set(folder, TARGET) == 0
    check_is_whole(folder)
    assert read_manifest(folder).records == 6


@pytest.mark.parametrize("form", ["parquet", "tfrecord"])
def test_other_formats(tmp_path: Path, form: str):
    rows = [{"query": f"q{number}", "positive": f"text {number}"} for number in range(4)]
    prepare(rows, [], output=tmp_path / "set", read="rows", format=form)
    assert forget_in_set(tmp_path / "set", TARGET) == 1
    assert [shard.records for shard in read_manifest(tmp_path / "set").shards] == [3]
    from tfchain.data.pairs.reading import read_pairs

    assert list(read_pairs(tmp_path / "set").columns[0]) == ["q0", "q1", "q2"]


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"Expected a folder that `tfchain.prepare` wrote. Received: "):
        forget_in_set(tmp_path, TARGET)
