"""The manifest of a saved chain: whose folder it is, and who may write there."""

import json
from pathlib import Path

import pytest

from tfchain.core.errors import IndexFolderError
from tfchain.tasks.manifest import check_is_ours, check_task, locked, read_manifest


def test_what_a_killed_first_save_leaves_does_not_keep_the_next_one_out(tmp_path: Path) -> None:
    for name in ("model-ab", "segment-000001", "codebook-cd", ".partial-x"):
        (tmp_path / name).mkdir()
    (tmp_path / ".lock").touch()
    check_is_ours(tmp_path)
    check_is_ours(tmp_path / "new")
    for name in ("d.txt", "a.txt", "c.txt", "b.txt"):
        (tmp_path / name).touch()
    with pytest.raises(IndexFolderError, match=r"holds no chain, but a.txt, b.txt, c.txt\. Nothing was written"):
        check_is_ours(tmp_path)
    (tmp_path / "chain.json").touch()
    check_is_ours(tmp_path)
    with pytest.raises(IndexFolderError, match="A chain is saved as a folder. Received: .*a.txt, which is a file"):
        check_is_ours(tmp_path / "a.txt")


def test_a_manifest_without_a_task_is_a_searchs() -> None:
    check_task(Path("index"), {}, "search")
    check_task(Path("index"), {"task": "classification"}, "classification")
    for manifest, task, found in (({}, "rating", "search"), ({"task": "rating"}, "search", "rating")):
        with pytest.raises(
            IndexFolderError, match=f"index holds a saved chain of the task '{found}'. Expected: '{task}'"
        ):
            check_task(Path("index"), manifest, task)


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"format"}', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "chain.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(IndexFolderError, match=r"chain.json cannot be read: .*\. Index the documents again"):
        read_manifest(tmp_path)


def test_another_format_without_a_version_of_tfchain_is_told_to_update(tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(IndexFolderError, match=r"has the format 2; .* reads format 1\. Update tfchain"):
        read_manifest(tmp_path)


def test_one_writer_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path):
        with (
            pytest.raises(IndexFolderError, match="Another process is writing .* Nothing was written"),
            locked(tmp_path),
        ):
            pass
        with pytest.raises(IndexFolderError), locked(tmp_path):  # who was refused has not taken the lock away
            pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass
