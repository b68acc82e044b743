"""The watch over the base paths."""

import threading
from collections.abc import Mapping
from pathlib import Path

from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.policies import All
from tfchain.deployment.server.source import FileSystemSource


def models(**base_paths: Path) -> dict[str, ModelConfig]:
    return {name: ModelConfig(name, base_path) for name, base_path in base_paths.items()}


def make_base_path(folder: Path, *versions: int) -> Path:
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
    return folder


class Seen:
    """Notes what the source passes on."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, name: str, versions: Mapping[int, Path]) -> None:
        self.calls.append((name, list(versions)))


def test_a_new_folder_is_found_at_the_next_look(tmp_path: Path) -> None:
    make_base_path(tmp_path, 1)
    seen: list[list[int]] = []
    has_two = threading.Event()

    def on_versions(name: str, versions: Mapping[int, Path]) -> None:
        assert name == "m"
        seen.append(list(versions))
        if list(versions) == [2]:
            has_two.set()

    source = FileSystemSource(on_versions, poll_seconds=0.01)
    source.set_models(models(m=tmp_path))
    source.start()
    (tmp_path / "2").mkdir()
    assert has_two.wait(5)
    source.close()
    assert seen[0] == [1]
    count = len(seen)
    threading.Event().wait(0.05)
    assert len(seen) == count


def test_an_unreadable_base_path_changes_nothing(tmp_path: Path) -> None:
    seen = Seen()
    source = FileSystemSource(seen)
    source.set_models(models(m=tmp_path / "gone"))
    assert source.poll_once() is False
    assert seen.calls == []
    (tmp_path / "gone").mkdir()
    assert source.poll_once() is True
    assert seen.calls == [("m", [])]


def test_a_model_that_cannot_be_read_does_not_keep_others_from_being_looked_at(tmp_path: Path) -> None:
    seen = Seen()
    source = FileSystemSource(seen)
    source.set_models(models(gone=tmp_path / "gone", there=make_base_path(tmp_path / "there", 3)))
    assert seen.calls == [("there", [3])]


def test_a_model_that_leaves_has_no_versions_and_is_not_looked_at_any_more(tmp_path: Path) -> None:
    seen = Seen()
    source = FileSystemSource(seen)
    source.set_models(models(a=make_base_path(tmp_path / "a", 1), b=make_base_path(tmp_path / "b", 2)))
    seen.calls.clear()
    source.set_models(models(b=tmp_path / "b"))
    assert seen.calls == [("a", []), ("b", [2])]
    seen.calls.clear()
    source.poll_once()
    assert seen.calls == [("b", [2])]


def test_each_model_has_a_policy_of_its_own(tmp_path: Path) -> None:
    seen = Seen()
    source = FileSystemSource(seen)
    base_path = make_base_path(tmp_path, 1, 2)
    source.set_models({"all": ModelConfig("all", base_path, All()), "latest": ModelConfig("latest", base_path)})
    assert seen.calls == [("all", [1, 2]), ("latest", [2])]


def test_what_goes_wrong_in_one_look_does_not_end_the_watch(tmp_path: Path) -> None:
    make_base_path(tmp_path, 1)
    looks = threading.Semaphore(0)

    def on_versions(name: str, _: Mapping[int, Path]) -> None:
        looks.release()
        raise ZeroDivisionError

    source = FileSystemSource(on_versions, poll_seconds=0.01)
    source.set_models(models(m=tmp_path))
    source.start()
    for _ in range(4):
        assert looks.acquire(timeout=5), "it looks no more"
    source.close()


def test_zero_looks_once_after_each_change_and_less_than_zero_never(tmp_path: Path) -> None:
    make_base_path(tmp_path, 1)
    seen = Seen()
    for poll_seconds in (0, -1):
        source = FileSystemSource(seen, poll_seconds=poll_seconds)
        source.set_models(models(m=tmp_path))
        source.start()
        threading.Event().wait(0.03)
        source.close()
    assert seen.calls == [("m", [1])]
