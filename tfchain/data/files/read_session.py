"""What one call of a reader shares among its files: the limits, the broken records, and the encodings found."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from tfchain.core.atomic import writing
from tfchain.core.errors import InputError
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.paths import to_path
from tfchain.data.files.place import Place

T = TypeVar("T")

logger = logging.getLogger(__name__)

SHOWN_CHARACTERS = 1_000  # of a broken record, in the side file


class ReadSession:
    """Counts the records of a run that cannot be read, keeps them in a side file, and ends the run above a limit.

    Args:
        max_broken: How many broken records a run bears; the next one ends it. Default: 0, the first one does.
        broken_file: Where to write each broken record as a line of JSON: `place`, `reason`, and `record`, its first
            1,000 characters. Replaced when the run begins, so that it always tells of the last one. Default: not kept.
        limits: The limits. Default: `ReadLimits()`.

    Attributes:
        broken: How many records could not be read.
        first_error: The first of their errors.

    Raises:
        InputError: if `max_broken` is not a whole number from 0.
    """

    def __init__(
        self, max_broken: int = 0, broken_file: Path | str | None = None, limits: ReadLimits | None = None
    ) -> None:
        if isinstance(max_broken, bool) or not isinstance(max_broken, int) or max_broken < 0:
            raise InputError(
                f"`max_broken` must be a whole number from 0. Received: max_broken={max_broken!r:.60}. It says how "
                "many broken records a run bears.",
                argument="max_broken",
            )
        self.limits = limits or ReadLimits()
        self.max_broken = max_broken
        self.broken_path = None if broken_file is None else to_path(broken_file)
        self.broken = 0
        self.first_error: InputError | None = None
        self._encodings: Counter[str] = Counter()
        self._first_files: dict[str, str] = {}
        self._file: IO[str] | None = None

    def reject(self, error: InputError, place: Place | str, record: Any = "") -> None:
        """Counts a record that cannot be read.

        Args:
            error: What is wrong with it.
            place: Where it is.
            record: What could be read of it: text, bytes, or a dict.

        Raises:
            InputError: `error` itself if the run bears no broken records; else, above the limit, with their number.
        """
        self.broken += 1
        self.first_error = self.first_error or error
        if self.broken_path is not None:
            self._write({"place": str(place), "reason": str(error), "record": to_shown(record)}, self.broken_path)
        if not self.is_over:
            return
        if not self.max_broken:
            raise error
        raise InputError(
            f"{error} That is broken record number {self.broken}; `max_broken` allows {self.max_broken}."
            + (f" {self.broken_path} has them all." if self.broken_path else " Keep them with `broken_file`.")
        ) from None

    @property
    def is_over(self) -> bool:
        """Whether there were more broken records than the run bears."""
        return self.broken > self.max_broken

    def bear(self, records: Iterable[T], label: str) -> Iterator[T]:
        """Yields the records of a file; an error that ends its reading counts as one broken record.

        Raises:
            InputError: as `reject` does.
        """
        try:
            yield from records
        except InputError as error:
            if self.is_over:
                raise
            self.reject(error, label)

    def check_found(self, found: bool, what: str) -> None:
        """Checks that something else was read than broken records.

        Args:
            found: Whether a record could be read.
            what: What was expected, such as `documents`.

        Raises:
            InputError: if there were broken records alone.
        """
        if not found and self.broken:
            raise InputError(
                f"Expected {what}. Received only {self.broken} broken records, the first: {self.first_error}"
            )

    def note_encoding(self, encoding: str, file: str) -> None:
        """Remembers that a file was read in another encoding than UTF-8."""
        self._encodings[encoding] += 1
        self._first_files.setdefault(encoding, file)

    def start(self) -> None:
        """Empties the side file."""
        if self.broken_path is not None:
            with writing(self.broken_path):
                if not self.broken_path.parent.exists():
                    self.broken_path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.broken_path.open("w", encoding="utf-8", errors="backslashreplace")

    def finish(self) -> None:
        """Closes the side file, and logs in one line each the encodings and the broken records, if any."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for encoding, count in self._encodings.most_common():
            logger.warning(
                "Read %d %s as %s, which is not UTF-8; the first is %s.",
                *(count, "file" if count == 1 else "files", encoding, self._first_files[encoding]),
            )
        self._encodings.clear()
        if self.broken and not self.is_over:
            logger.warning(
                "Left out %d broken %s%s; the first: %s",
                *(self.broken, "record" if self.broken == 1 else "records"),
                f", which {self.broken_path} has" if self.broken_path else "",
                self.first_error,
            )

    def _write(self, entry: dict[str, str], path: Path) -> None:
        if self._file is None:
            self.start()
        assert self._file is not None
        with writing(path):
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()  # a killed run leaves whole lines


def to_shown(record: Any) -> str:
    """Returns what the side file shows of a record."""
    if isinstance(record, bytes | bytearray):
        return bytes(record[:SHOWN_CHARACTERS]).decode("utf-8", "backslashreplace")
    if isinstance(record, str):
        return record[:SHOWN_CHARACTERS]
    try:
        return json.dumps(record, ensure_ascii=False, default=repr)[:SHOWN_CHARACTERS]
    except (ValueError, TypeError, RecursionError):  # a list that holds itself, a number of thousands of digits
        return f"a {type(record).__name__} that JSON cannot hold"
