"""The watch over a base path."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.source import FileSystemSource, latest, latest_of


def test_the_default_policy_takes_the_highest_version() -> None:
    versions = {2: Path("2"), 10: Path("10"), -1: Path("-1")}
    assert latest(versions) == {10: Path("10")}
    assert latest({}) == {}


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
    assert latest_of("a")(versions) == {10: tmp_path / "10"}
    assert latest_of("b")(versions) == {11: tmp_path / "11"}
    assert latest_of("c")(versions) == {}


def test_a_description_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    make_version(tmp_path, 1, None)
    (tmp_path / "1" / "assets.extra" / "tfchain.json").mkdir()
    with pytest.raises(IsADirectoryError):  # which the watch reports, and looks again
        latest_of("a")(list_versions(tmp_path))


def test_a_new_folder_is_found_at_the_next_look(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    seen: list[list[int]] = []
    has_two = threading.Event()

    def on_versions(name: str, versions: Mapping[int, Path]) -> None:
        assert name == "m"
        seen.append(list(versions))
        if list(versions) == [2]:
            has_two.set()

    source = FileSystemSource("m", tmp_path, on_versions, poll_seconds=0.01)
    source.start()
    (tmp_path / "2").mkdir()
    assert has_two.wait(5)
    source.close()
    assert seen[0] == [1]
    count = len(seen)
    threading.Event().wait(0.05)
    assert len(seen) == count


def test_an_unreadable_base_path_changes_nothing(tmp_path: Path) -> None:
    seen: list[Mapping[int, Path]] = []
    source = FileSystemSource("m", tmp_path / "gone", lambda _, versions: seen.append(versions))
    assert source.poll_once() is False
    assert seen == []
    (tmp_path / "gone").mkdir()
    assert source.poll_once() is True
    assert seen == [{}]


def test_what_goes_wrong_in_one_look_does_not_end_the_watch(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    looks = threading.Semaphore(0)

    def on_versions(name: str, _: Mapping[int, Path]) -> None:
        looks.release()
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError

    source = FileSystemSource("m", tmp_path, on_versions, poll_seconds=0.01)
    source.start()
    for _ in range(4):
        assert looks.acquire(timeout=5), "it looks no more"
    source.close()


def test_zero_looks_once_and_less_than_zero_never(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    seen: list[str] = []
    for poll_seconds in (0, -1):
        source = FileSystemSource("m", tmp_path, lambda name, _: seen.append(name), poll_seconds=poll_seconds)
        source.start()
        threading.Event().wait(0.03)
        source.close()
    assert seen == ["m"]
