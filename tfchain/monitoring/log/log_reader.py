"""Reads a query log, ours or another program's in User Behavior Insights' schemas."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfchain.monitoring.log.log_file import EVENTS, QUERIES, LogFile, check_log, list_files
from tfchain.monitoring.log.parquet import read_lines, read_parquet
from tfchain.monitoring.log.ubi import LoggedEvent, LoggedQuery, read_event, read_query

T = TypeVar("T")


class LogReader:
    """The records of a query log, also while servers write to it.

    Args:
        folder: The log's folder.
        since: The earliest time of a record, in seconds since 1970. Default: all.
        until: The time from which on records are left out. Default: none are.

    Attributes:
        num_broken: The records so far that could not be read, such as a line that is half written.

    Raises:
        InputError: if the folder has no log.
    """

    def __init__(self, folder: Path | str, *, since: float = float("-inf"), until: float = float("inf")) -> None:
        self._folder = check_log(folder)
        self._since = since
        self._until = until
        self.num_broken = 0

    def queries(self) -> Iterator[LoggedQuery]:
        """Reads the queries, in the order in which they were logged."""
        return (query for query in self._read(QUERIES, read_query) if self._since <= query.time < self._until)

    def events(self) -> Iterator[LoggedEvent]:
        """Reads the events, in the order in which they were logged."""
        return (event for event in self._read(EVENTS, read_event) if self._since <= event.time < self._until)

    def _read(self, kind: str, to_value: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
        files = list_files(self._folder, kind)
        there = {file.path for file in files}
        for file in files:
            if file.path.with_suffix(".parquet") in there and file.path.suffix != ".parquet":
                continue  # converted, and not deleted yet
            for record in _records_of(file):
                try:
                    yield to_value(record)
                except (ValueError, OverflowError, TypeError):
                    self.num_broken += 1


def _records_of(file: LogFile) -> Iterator[Mapping[str, Any]]:
    """Reads a file's records; none of one that was purged or converted meanwhile."""
    final = file.path.with_name(file.path.name.replace(".open.jsonl", ".jsonl"))
    for path in dict.fromkeys((file.path, final, final.with_suffix(".parquet"))):
        try:
            records = read_parquet(path) if path.suffix == ".parquet" else read_lines(path)
            yield from records
            return
        except FileNotFoundError:
            continue
