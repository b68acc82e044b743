"""The query log on disk: masked, rotated, bounded, purged, and readable at any time."""

import errno
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError, MissingPackageError, TfchainError
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.log_file import list_files, new_name
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.parquet import convert
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make_query(number: int, text: str = "a question") -> Observation:
    return Observation(1e9 + number, "docs", 1, "search", f"q{number}", text, (f"d{number}",), (0.5,), 3.0)


def make_log(folder: Path, **options: Any) -> QueryLog:
    names = {"mask", "clock", "monotonic", "add_gauge"}
    others = {name: options.pop(name) for name in names & set(options)}
    return QueryLog(QueryLogOptions(folder, **options), **{"mask": lambda text: text, **others})


def endings(folder: Path) -> list[str]:
    return [re.sub(r"-[\w.]+-\d+(?=\.(open|jsonl|parquet))", "", file.path.name) for file in list_files(folder)]


def test_queries_and_events_are_written_and_read(tmp_path: Path) -> None:
    with make_log(tmp_path / "log") as log:
        log.observe(make_query(1))
        log.take_feedback(Feedback(1e9 + 2, "click", "q1", "d1", 1))
        log.tick()
        assert endings(tmp_path / "log") == ["queries-00000001.open.jsonl", "events-00000002.open.jsonl"]
        reader = LogReader(tmp_path / "log")
        assert [query.query_id for query in reader.queries()] == ["q1"]  # while the log is open
        log.observe(make_query(3))
    assert endings(tmp_path / "log") == ["queries-00000001.jsonl", "events-00000002.jsonl"]
    assert [query.query_id for query in reader.queries()] == ["q1", "q3"]
    assert [(event.action, event.object_id) for event in reader.events()] == [("click", "d1")]
    later = LogReader(tmp_path / "log", since=1e9 + 2, until=1e9 + 3)
    assert (list(later.queries()), len(list(later.events()))) == ([], 1)
    assert all(file.path.stat().st_mode & 0o077 == 0 for file in list_files(tmp_path / "log"))


def test_documents_that_are_embedded_are_no_queries(tmp_path: Path) -> None:
    with make_log(tmp_path) as log:
        log.observe(Observation(1.0, "m", 1, "embed", "q", "a document", attributes={"purpose": "document"}))
        log.tick()
    assert list_files(tmp_path) == []


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_files_are_closed_when_they_are_large_and_the_oldest_go(tmp_path: Path, file_format: str) -> None:
    gauges: dict[Any, float] = {}

    def add_gauge(name: str, help: str, labels: tuple[str, ...] = ()) -> Any:
        return lambda value, *values: gauges.update({(name, *values): value})

    with make_log(tmp_path, format=file_format, max_bytes=2**16, add_gauge=add_gauge) as log:
        for number in range(1000):
            log.observe(make_query(number, f"{number} " + os.urandom(60).hex()))
            if number % 10 == 0:
                log.tick()
                assert sum(file.size for file in list_files(tmp_path)) <= 2**16
    files = list_files(tmp_path)
    assert {file.path.suffix for file in files} == {f".{file_format}"}
    assert [file.number for file in files] == list(range(files[0].number, files[0].number + len(files)))
    assert files[0].number > 1  # the oldest have gone
    kept = [int(query.query_id[1:]) for query in LogReader(tmp_path).queries()]
    assert kept == list(range(kept[0], 1000))
    assert gauges["tfchain_query_log_records", "queries"] == 1000
    assert gauges["tfchain_query_log_records", "lost"] == 0
    assert 0 < gauges["tfchain_query_log_bytes",] <= 2**16


def test_a_file_is_closed_after_a_day_and_deleted_for_its_age(tmp_path: Path) -> None:
    wall, steady = Clock(time.time()), Clock(100.0)
    with make_log(tmp_path, max_days=2, clock=wall, monotonic=steady) as log:
        for day in range(5):
            log.observe(make_query(day))
            log.tick()
            for file in list_files(tmp_path):
                if file.is_open:
                    os.utime(file.path, (wall.now, wall.now))
            steady.now += 86401
            wall.now += 86401
            log.tick()
    kept = [query.query_id for query in LogReader(tmp_path).queries()]
    assert kept == ["q4"]  # the one before it is two days and two seconds old


def test_a_clock_that_goes_back_loses_nothing_and_order_stays(tmp_path: Path) -> None:
    """The clock is decades behind for some hours: files get old dates, numbers go on, and nothing is deleted."""
    wall, steady = Clock(time.time()), Clock(100.0)
    log = make_log(tmp_path, max_days=1, clock=wall, monotonic=steady)

    def write(number: int) -> None:
        log.observe(make_query(number))
        log.tick()
        for file in list_files(tmp_path):
            if file.is_open:
                os.utime(file.path, (wall.now, wall.now))
        steady.now += 86401  # which closes the file
        log.tick()

    write(0)
    wall.now -= 30 * 365 * 86400  # back, and a day passes
    write(1)
    wall.now += 30 * 365 * 86400 + 2 * 3600  # right again
    steady.now += 2 * 3600
    log.tick()
    write(2)
    log.close()
    assert [query.query_id for query in LogReader(tmp_path).queries()] == ["q0", "q1", "q2"]
    assert [file.number for file in list_files(tmp_path)] == [1, 2, 3]


def test_a_disk_that_is_full_costs_queries_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steady = Clock(100.0)
    gauges: dict[Any, float] = {}

    def add_gauge(name: str, help: str, labels: tuple[str, ...] = ()) -> Any:
        return lambda value, *values: gauges.update({(name, *values): value})

    log = make_log(tmp_path / "log", monotonic=steady, add_gauge=add_gauge)
    real_open = os.open

    def fail(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".open.jsonl"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", fail)
    for number in range(3):
        log.observe(make_query(number))
        log.tick()
    monkeypatch.undo()
    log.observe(make_query(3))
    log.close()
    assert [query.query_id for query in LogReader(tmp_path / "log").queries()] == ["q3"]
    assert caplog.text.count("cannot be written, and loses queries: No space left on device.") == 1
    assert gauges["tfchain_query_log_records", "lost"] == 3


def test_a_file_that_cannot_become_parquet_stays_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Path:
        raise TfchainError("Could not write: No space left on device.")

    with make_log(tmp_path, format="parquet", max_bytes=2**16) as log:
        monkeypatch.setattr("tfchain.monitoring.log.parquet.write_file", fail)
        for number in range(100):
            log.observe(make_query(number))
    monkeypatch.undo()
    assert {file.path.suffix for file in list_files(tmp_path)} == {".jsonl"}
    assert [query.query_id for query in LogReader(tmp_path).queries()] == [f"q{number}" for number in range(100)]


def test_a_file_that_was_converted_and_not_deleted_is_read_once(tmp_path: Path) -> None:
    with make_log(tmp_path) as log:
        log.observe(make_query(1))
    lines = list_files(tmp_path)[0].path
    copy = lines.read_bytes()
    convert(lines)
    lines.write_bytes(copy)  # as if the process had been killed in between
    assert [query.query_id for query in LogReader(tmp_path).queries()] == ["q1"]


def test_a_file_of_an_earlier_process_with_the_same_number_is_closed(tmp_path: Path) -> None:
    left = new_name(tmp_path, "queries")
    left.write_text('{"user_query": "theirs", "timestamp": "1970-01-01T00:00:01Z"}\n')
    with make_log(tmp_path) as log:
        log.observe(make_query(1))
        log.tick()
        log.tick()
        assert endings(tmp_path) == ["queries-00000001.jsonl", "queries-00000002.open.jsonl"]


def test_what_a_killed_process_left_is_closed_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    name = new_name(tmp_path, "queries")
    host = name.name.split("-")[2]
    left = tmp_path / f"queries-00000007-{host}-99999999.open.jsonl"  # no process has such a number
    left.write_text('{"user_query": "whole", "timestamp": "1970-01-01T00:00:01Z"}\n{"user_query": "ha')
    other = tmp_path / "queries-00000008-elsewhere-1.open.jsonl"  # another machine's
    other.write_text('{"user_query": "theirs", "timestamp": "1970-01-01T00:00:01Z"}\n{"user_query": 3}\n')
    (tmp_path / "notes.txt").write_text("not of the log")
    with make_log(tmp_path) as log:
        log.tick()
    assert not left.exists()
    assert other.exists()
    reader = LogReader(tmp_path)
    assert [query.text for query in reader.queries()] == ["whole", "theirs"]
    assert reader.num_broken == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "csv"}, "`query_log_format` must be one of jsonl, parquet. Received: 'csv'."),
        ({"max_bytes": 0}, "`query_log_max_mb` must leave room for some queries. Received: 0 bytes."),
        ({"max_days": 0}, "`query_log_max_days` must be above 0. Received: 0."),
    ],
)
def test_options_out_of_range_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        QueryLogOptions(tmp_path, **options)


def test_masks_that_lack_a_package_are_an_error_at_the_start(tmp_path: Path) -> None:
    def mask(text: str) -> str:
        raise MissingPackageError("phonenumbers") if "+49" in text else AssertionError

    with pytest.raises(MissingPackageError, match="phonenumbers"):
        make_log(tmp_path / "log", mask=mask)
    assert not (tmp_path / "log").exists()


def test_a_folder_that_cannot_be_one_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TfchainError, match="Could not write"):
        make_log(tmp_path / "file" / "log")
    with pytest.raises(InputError, match="has no files of a query log"):
        LogReader(tmp_path)
    with pytest.raises(InputError, match="The query log must be a folder"):
        LogReader(tmp_path / "file")
