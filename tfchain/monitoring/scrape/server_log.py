"""Keeps a server's traffic beside the query log, and reads it again for the report."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.atomic import check_can_write
from tfchain.monitoring.log.log_file import SERVERS, is_abandoned, list_files
from tfchain.monitoring.log.log_writer import DAY_SECONDS, LogWriter, close_file
from tfchain.monitoring.log.parquet import read_lines
from tfchain.monitoring.log.retention import Purger
from tfchain.monitoring.log.ubi import read_time, write_time
from tfchain.monitoring.scrape.rates import Rates

_FILE_BYTES = 4 * 2**20
_MAX_BYTES, _MAX_DAYS = 64 * 2**20, 365.0  # a reading of one model takes some 200 bytes
_NUMBERS = ("seconds", "p50_ms", "p99_ms", "run_p99_ms")
_COUNTS = ("requests", "errors")


class ServerLog:
    """Writes what readings of a server's metrics say; use it in a `with` block.

    Args:
        folder: The query log's folder, or a new one.
        server: The server's name, such as its address.
        clock: The time by the wall clock. Default: `time.time`.

    Raises:
        TfchainError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, server: str, *, clock: Callable[[], float] = time.time) -> None:
        check_can_write(folder)
        self._server = server
        self._clock = clock
        self._folder = folder
        self._writer = LogWriter(folder, SERVERS, file_bytes=_FILE_BYTES)
        self._purger = Purger(
            folder, max_bytes=_MAX_BYTES, max_age_seconds=_MAX_DAYS * DAY_SECONDS, kind=SERVERS, clock=clock
        )
        for file in list_files(folder, SERVERS):
            if is_abandoned(file):
                close_file(file.path, as_parquet=False)

    def __enter__(self) -> "ServerLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, rates: Sequence[Rates]) -> None:
        """Writes a reading: a line for each model.

        Raises:
            OSError: if the disk is full.
        """
        moment = write_time(self._clock())
        for one in rates:
            values = {name: value for name, value in one.to_dict().items() if value is not None}
            values.pop("per_second", None)
            self._writer.add({"timestamp": moment, "server": self._server, **values})
        self._writer.flush()
        self._purger.purge([] if self._writer.path is None else [self._writer.path])


def read_server_log(
    folder: Path | str, *, since: float = -math.inf, until: float = math.inf
) -> Iterator[tuple[float, Rates]]:
    """Reads the readings: when, and what; those of all since a server's start, which stand for no time, are left out.

    Args:
        folder: The folder.
        since: The earliest time, in seconds since 1970. Default: all.
        until: The time from which on readings are left out. Default: none are.
    """
    for file in list_files(folder, SERVERS):
        for record in read_lines(file.path):
            try:
                moment, rates = read_time(str(record.get("timestamp"))), _to_rates(record)
            except (ValueError, TypeError):
                continue
            if since <= moment < until and rates.seconds > 0:
                yield moment, rates


def _to_rates(record: Mapping[str, Any]) -> Rates:
    seconds, p50, p99, run_p99 = (float(record.get(name, math.nan)) for name in _NUMBERS)
    requests, errors = (int(record.get(name, 0)) for name in _COUNTS)
    return Rates(str(record.get("model", "")), seconds, requests, errors, p50, p99, run_p99)
