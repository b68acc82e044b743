"""Which versions of a base path are served."""

import logging
from pathlib import Path

import pytest

from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.policies import All, Latest, LatestOf, Specific

VERSIONS = {2: Path("2"), 10: Path("10"), -1: Path("-1")}


def test_the_default_policy_takes_the_highest_version() -> None:
    assert Latest()("m", VERSIONS) == {10: Path("10")}
    assert Latest()("m", {}) == {}


def test_latest_takes_as_many_as_it_says_and_no_more_than_there_are() -> None:
    assert set(Latest(2)("m", VERSIONS)) == {10, 2}
    assert set(Latest(9)("m", VERSIONS)) == {10, 2, -1}


def test_all_takes_all() -> None:
    assert All()("m", VERSIONS) == VERSIONS


def test_specific_takes_what_it_lists_and_logs_what_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert Specific(frozenset({2, 42}))("m", VERSIONS) == {2: Path("2")}
    assert [record.getMessage() for record in caplog.records] == [
        "Version 42 of servable m, which was requested to be served as a 'specific' version in the servable's version "
        "policy, was not found in the file system"
    ]


def make_version(base_path: Path, version: int, description: str | None) -> None:
    (base_path / str(version) / "assets.extra").mkdir(parents=True)
    if description is not None:
        (base_path / str(version) / "assets.extra" / "tfchain.json").write_text(description, encoding="utf-8")


def test_a_source_is_served_its_own_highest_version_alone(tmp_path: Path) -> None:
    descriptions = ['{"source": "a"}', '{"source": "a"}', '{"source": "b"}', "{}", "[1]", "no JSON", None]
    for version, description in enumerate(descriptions, start=9):
        make_version(tmp_path, version, description)
    (tmp_path / "99").touch()
    versions = list_versions(tmp_path)
    assert LatestOf("a")("m", versions) == {10: tmp_path / "10"}
    assert LatestOf("b")("m", versions) == {11: tmp_path / "11"}
    assert LatestOf("c")("m", versions) == {}


def test_a_description_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    make_version(tmp_path, 1, None)
    (tmp_path / "1" / "assets.extra" / "tfchain.json").mkdir()
    with pytest.raises(IsADirectoryError):  # which the watch reports, and looks again
        LatestOf("a")("m", list_versions(tmp_path))
