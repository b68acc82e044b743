"""Ages of files, whatever the clock did."""

import os
from pathlib import Path

import pytest

from tfchain.monitoring.log.log_file import LogFile, list_files
from tfchain.monitoring.log.retention import Purger, find_times

NOW = 1_000_000_000.0
DAY = 86400.0


def add_file(folder: Path, number: int, modified: float, size: int = 10, ending: str = ".jsonl") -> Path:
    path = folder / f"queries-{number:08}-host-1{ending}"
    path.write_bytes(b"x" * size)
    os.utime(path, (modified, modified))
    return path


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def purge(folder: Path, now: float = NOW, *, max_bytes: int = 1000, days: float = 30, room: int = 0) -> list[int]:
    purger = Purger(folder, max_bytes=max_bytes, max_age_seconds=days * DAY, clock=Clock(now), monotonic=Clock(5.0))
    purger.purge(room=room)
    return [file.number for file in list_files(folder)]


def test_old_files_go_and_the_rest_stays(tmp_path: Path) -> None:
    for number, days in enumerate([40, 31, 29, 0]):
        add_file(tmp_path, number, NOW - days * DAY)
    assert purge(tmp_path) == [2, 3]


def test_the_oldest_go_until_the_rest_fits_with_what_comes(tmp_path: Path) -> None:
    for number in range(5):
        add_file(tmp_path, number, NOW - DAY, size=100)
    assert purge(tmp_path, max_bytes=350, room=100) == [3, 4]


def test_files_that_are_being_written_are_not_deleted_for_their_size(tmp_path: Path) -> None:
    add_file(tmp_path, 1, NOW, 100, ".open.jsonl")
    add_file(tmp_path, 2, NOW, 100)
    assert purge(tmp_path, max_bytes=50) == [1]
    assert purge(tmp_path, NOW + DAY, max_bytes=50) == [1]
    assert purge(tmp_path, NOW + 3 * DAY) == [1]
    assert purge(tmp_path, NOW + 3 * DAY, max_bytes=50) == []  # of another machine that has gone


def test_a_file_is_at_least_as_new_as_its_predecessors_and_none_is_of_the_future() -> None:
    files = [LogFile(Path(), "queries", n, "", False, 0, t) for n, t in enumerate([50.0, 1.0, 60.0, 900.0])]
    assert find_times(files, 100.0) == [50.0, 50.0, 60.0, 100.0]


def test_a_file_of_the_future_grows_old_from_when_it_is_found(tmp_path: Path) -> None:
    add_file(tmp_path, 1, NOW - DAY)
    add_file(tmp_path, 2, NOW - DAY)
    ahead = add_file(tmp_path, 3, NOW + 1000 * DAY)
    assert purge(tmp_path) == [1, 2, 3]
    assert ahead.stat().st_mtime == pytest.approx(NOW)
    assert purge(tmp_path, NOW + 31 * DAY) == []


def test_a_clock_that_is_behind_most_files_deletes_and_changes_nothing(tmp_path: Path) -> None:
    paths = [add_file(tmp_path, number, NOW - number * DAY) for number in range(3)]
    assert purge(tmp_path, NOW - 1000 * DAY) == [0, 1, 2]
    assert [path.stat().st_mtime for path in paths] == [NOW, NOW - DAY, NOW - 2 * DAY]


def test_a_clock_that_jumps_ahead_deletes_nothing_for_an_hour(tmp_path: Path) -> None:
    add_file(tmp_path, 1, NOW)
    wall, steady = Clock(NOW), Clock(100.0)
    purger = Purger(tmp_path, max_bytes=1000, max_age_seconds=DAY, clock=wall, monotonic=steady)
    wall.now += 400 * DAY
    assert purger.purge() == []
    wall.now, steady.now = NOW + 120, 220.0  # set right again, which is another jump
    assert purger.purge() == []
    wall.now += 2 * DAY
    steady.now += 2 * DAY
    assert len(purger.purge()) == 1
