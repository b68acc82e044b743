"""The query log: a monitor that writes queries and feedback, masked, sampled by the server, and bounded on disk."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import check_can_write
from tfchain.core.errors import InputError
from tfchain.core.observation import AddGauge, Feedback, Observation, OverWorkers, SetGauge
from tfchain.monitoring.log.log_file import EVENTS, QUERIES, is_abandoned, list_files, this_owner
from tfchain.monitoring.log.log_writer import DAY_SECONDS, LogWriter, close_file
from tfchain.monitoring.log.masking import Mask, Masker
from tfchain.monitoring.log.parquet import check_parquet
from tfchain.monitoring.log.retention import Purger
from tfchain.monitoring.log.ubi import to_event_record, to_query_record

logger = logging.getLogger(__name__)

FORMATS = ("jsonl", "parquet")
_FILES_IN_ALL = 8  # the largest share of the room that a file takes
_MOST_FILE_BYTES = 64 * 2**20
_PURGE_SECONDS = 60.0
_COMPLAINT_SECONDS = 60.0
_PROBE = "mail a@example.org or call +49 30 123456, account DE89370400440532013000, card 4111 1111 1111 1111"


@dataclass(frozen=True, slots=True)
class QueryLogOptions:
    """Where a query log lies, and how long.

    Args:
        folder: Its folder; made if it does not exist.
        format: `jsonl`, or `parquet` for files that are closed; the open one is always JSON lines. Default: `jsonl`.
        max_bytes: The most bytes of all files; the oldest are deleted first. Default: 1 GiB.
        max_days: The age at which a file is deleted, in days. Default: 30.

    Raises:
        InputError: if a value is out of range.
    """

    folder: Path
    format: str = "jsonl"
    max_bytes: int = 2**30
    max_days: float = 30.0

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"`query_log_format` must be one of {', '.join(FORMATS)}. Received: {self.format!r}.")
        if self.max_bytes < 2**16:
            raise InputError(
                f"`query_log_max_mb` must leave room for some queries. Received: {self.max_bytes} bytes. Use 1 or more."
            )
        if not self.max_days > 0:
            raise InputError(f"`query_log_max_days` must be above 0. Received: {self.max_days}. Use 30 for a month.")

    @property
    def file_bytes(self) -> int:
        """The size at which a file is closed."""
        return min(self.max_bytes // _FILES_IN_ALL, _MOST_FILE_BYTES)


class QueryLog:
    """Writes observations and feedback, as a `Monitor` of `tfchain.core.observation`; close it, or use it by `with`.

    Args:
        options: Where, and how much.
        mask: Takes personal data out of a text.
        add_gauge: Adds gauges about the log to a server's metrics. Default: there are none.
        clock: The time by the wall clock, which may jump. Default: `time.time`.
        monotonic: The time by a clock that never does. Default: `time.monotonic`.

    Raises:
        TfchainError: if the folder cannot be written, or a package is missing.
    """

    def __init__(
        self,
        options: QueryLogOptions,
        *,
        mask: Mask,
        add_gauge: AddGauge | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        check_can_write(options.folder)
        if options.format == "parquet":
            check_parquet()
        mask(_PROBE)  # packages that it needs are missed now, and imported now, not at the first query
        self._options = options
        self._masker = Masker(mask)
        self._monotonic = monotonic
        as_parquet = options.format == "parquet"
        self._writers = {
            kind: LogWriter(
                options.folder, kind, file_bytes=options.file_bytes, as_parquet=as_parquet, monotonic=monotonic
            )
            for kind in (QUERIES, EVENTS)
        }
        self._purger = Purger(
            options.folder,
            max_bytes=options.max_bytes - (options.file_bytes if as_parquet else 0),
            max_age_seconds=options.max_days * DAY_SECONDS,
            clock=clock,
            monotonic=monotonic,
        )
        self._next_purge = monotonic()
        self._last_complaint = monotonic() - _COMPLAINT_SECONDS
        self._counts = {"queries": 0, "events": 0}
        add: AddGauge = add_gauge or _add_no_gauge
        self._set_records = add("tfchain_query_log_records", "Records of the query log, by kind.", ("kind",))
        self._set_bytes = add("tfchain_query_log_bytes", "Bytes of the query log that this process wrote and kept.")
        self._set_gauges()

    def __enter__(self) -> "QueryLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def observe(self, observation: Observation) -> None:
        """Adds a query to the log; documents that were embedded are none."""
        if observation.attributes.get("purpose") != "document":
            self._add(QUERIES, to_query_record(observation, self._masker))

    def take_feedback(self, feedback: Feedback) -> None:
        """Adds an event to the log."""
        self._add(EVENTS, to_event_record(feedback, self._masker))

    def tick(self) -> None:
        """Writes what has gathered; once a minute, deletes what is too old or too much."""
        if self._monotonic() >= self._next_purge:
            self._next_purge = self._monotonic() + _PURGE_SECONDS
            self._tidy()
        for writer in self._writers.values():
            self._flush(writer)
        self._set_gauges()

    def close(self) -> None:
        """Writes what is left, and closes the files."""
        self.tick()
        for writer in self._writers.values():
            try:
                writer.rotate()
            except OSError as error:
                self._complain(error)

    def _add(self, kind: str, record: dict[str, Any]) -> None:
        writer = self._writers[kind]
        writer.add(record)
        self._counts[kind] += 1
        if writer.waiting_bytes >= self._options.file_bytes // 4:
            self._flush(writer)

    def _flush(self, writer: LogWriter) -> None:
        """Writes what waits if there is room, or can be made; what has no place is lost, and counted."""
        size = writer.waiting_bytes
        try:
            if size and not self._purger.has_room(size):
                for one in self._writers.values():
                    one.rotate()
                self._purger.purge(room=size)
                if not self._purger.has_room(size):
                    writer.drop()
                    return
            writer.flush()
        except OSError as error:
            writer.drop()
            self._complain(error)

    def _tidy(self) -> None:
        """Closes the files that killed processes left open, and deletes those that have to go."""
        try:
            for file in list_files(self._options.folder):
                if is_abandoned(file):
                    close_file(file.path, as_parquet=False)
            self._purger.purge([path for writer in self._writers.values() if (path := writer.path) is not None])
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if self._monotonic() - self._last_complaint >= _COMPLAINT_SECONDS:
            self._last_complaint = self._monotonic()
            reason = os.strerror(error.errno) if error.errno else str(error)
            logger.warning(
                "The query log in %s cannot be written, and loses queries: %s.", self._options.folder, reason
            )

    def _set_gauges(self) -> None:
        for kind, number in self._counts.items():
            self._set_records(number, kind)
        self._set_records(sum(writer.num_lost for writer in self._writers.values()), "lost")
        owner = this_owner()
        self._set_bytes(sum(file.size for file in list_files(self._options.folder) if file.owner == owner))


def _add_no_gauge(name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: OverWorkers = "sum") -> SetGauge:
    """Stands in for a server's metrics where there is no server."""
    return lambda *_: None
