"""Hashes of inputs: content and names count, times and left-overs do not."""

import os
from pathlib import Path

from tfchain.jobs.lifecycle.fingerprints import hash_path, hash_value


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "a" / "one.txt").write_text("1")
    (tmp_path / "a" / "inner" / "two.txt").write_text("2")
    first = hash_path(tmp_path / "a")

    os.utime(tmp_path / "a" / "one.txt", (0, 0))
    (tmp_path / "a" / ".partial-x").mkdir()
    (tmp_path / "a" / ".partial-x" / "half").write_text("?")
    (tmp_path / "a" / ".lock").write_text("7")
    assert hash_path(tmp_path / "a") == first

    (tmp_path / "a" / "one.txt").rename(tmp_path / "a" / "uno.txt")
    assert hash_path(tmp_path / "a") != first


def test_a_path_that_is_missing_differs_from_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert hash_path(tmp_path / "none") == "missing"
    assert hash_path(tmp_path / "empty") != "missing"


def test_the_order_of_keys_does_not_matter_and_paths_are_text() -> None:
    assert hash_value({"a": 1, "b": Path("x")}) == hash_value({"b": "x", "a": 1})
    assert hash_value([1, 2]) != hash_value([2, 1])


def test_what_lies_behind_a_link_counts_and_a_link_that_leads_nowhere_or_back_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.txt").write_text(name)
    link = tmp_path / "data" / "current"
    link.symlink_to(tmp_path / "old")
    (tmp_path / "data" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    first = hash_path(tmp_path / "data")

    assert hash_path(tmp_path / "data") == first
    link.unlink()
    link.symlink_to(tmp_path / "new")
    assert hash_path(tmp_path / "data") != first
