"""Writes the records of one kind: lines into a file that is open, which is closed once it is large or a day old."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tfchain.core.errors import TfchainError
from tfchain.monitoring.log.log_file import OPEN, OPEN_HERE, new_name
from tfchain.monitoring.log.parquet import convert
from tfchain.monitoring.log.ubi import to_line

logger = logging.getLogger(__name__)
DAY_SECONDS = 24 * 3600.0


class LogWriter:
    """Appends records to a log.

    Lines gather in memory until `flush`. A process that is killed loses those of the last second, and leaves a file
    that readers take as it is.

    Args:
        folder: The log's folder.
        kind: `queries`, `events` or `servers`.
        file_bytes: The size at which a file is closed.
        as_parquet: Whether a closed file becomes a Parquet file. Default: False.
        monotonic: The time by a clock that never jumps; a file's day is counted by it. Default: `time.monotonic`.

    Attributes:
        num_lost: The records so far that had no place on the disk.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        *,
        file_bytes: int,
        as_parquet: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = kind
        self.num_lost = 0
        self._folder = folder
        self._file_bytes = file_bytes
        self._as_parquet = as_parquet
        self._monotonic = monotonic
        self._lines: list[bytes] = []
        self._file: BinaryIO | None = None
        self._path = Path()
        self._begun = 0.0
        self._size = 0

    @property
    def path(self) -> Path | None:
        """The file that is open; None if none is."""
        return self._path if self._file is not None else None

    @property
    def waiting_bytes(self) -> int:
        """The bytes that the next flush writes."""
        return sum(map(len, self._lines))

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds a record to the lines that wait."""
        self._lines.append(to_line(record))

    def drop(self) -> None:
        """Forgets the lines that wait; they count as lost."""
        self.num_lost += len(self._lines)
        self._lines.clear()

    def flush(self) -> None:
        """Writes the lines that wait, and closes a file that is large or old.

        Raises:
            OSError: if that fails; the lines are lost, and the next ones go into another file.
        """
        lines, self._lines = self._lines, []
        written = 0  # the lines in files that are closed, and so on the disk
        try:
            for number, line in enumerate(lines, start=1):
                if self._file is None:
                    self._open()
                assert self._file is not None
                self._file.write(line)
                self._size += len(line)
                if self._size >= self._file_bytes:
                    self.rotate()
                    written = number
            if self._file is not None:
                self._file.flush()
                written = len(lines)
                if self._monotonic() - self._begun >= DAY_SECONDS:
                    self.rotate()
        except OSError:
            self.num_lost += len(lines) - written
            file, self._file = self._file, None
            OPEN_HERE.discard(self._path.absolute())
            if file is not None:
                _close_quietly(file)
            raise

    def rotate(self) -> None:
        """Closes the open file under its final name."""
        if self._file is None:
            return
        file, self._file = self._file, None
        OPEN_HERE.discard(self._path.absolute())
        file.flush()
        os.fsync(file.fileno())
        file.close()
        close_file(self._path, as_parquet=self._as_parquet)

    def close(self) -> None:
        """Writes the lines that wait, and closes the file."""
        self.flush()
        self.rotate()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._path = new_name(self._folder, self.kind)
            try:
                handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                continue  # another thread was faster
            self._file = os.fdopen(handle, "wb")
            OPEN_HERE.add(self._path.absolute())
            self._begun, self._size = self._monotonic(), 0
            return


def close_file(path: Path, *, as_parquet: bool) -> Path:
    """Gives an open file its final name, and its final form; one that cannot be converted stays as it is.

    Args:
        path: A file whose name says that it is open.
        as_parquet: Whether it becomes a Parquet file.

    Returns:
        Its new path.
    """
    final = path.with_name(path.name.removesuffix(OPEN) + ".jsonl")
    path.rename(final)
    if not as_parquet:
        return final
    try:
        return convert(final)
    except (TfchainError, OSError, ValueError) as error:  # the kind alone: its text may have a query in it
        logger.warning("%s of the query log stays JSON lines: %s.", final.name, type(error).__name__)
        return final


def _close_quietly(file: BinaryIO) -> None:
    """Closes a file whose disk is full: closing writes what is left, and fails again."""
    try:
        file.close()
    except OSError:
        return
