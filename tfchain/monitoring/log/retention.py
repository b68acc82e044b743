"""Which files of a log have to go: those that are too old, and the oldest of those that take too much room.

Ages need a clock, and clocks go back and forth. A file counts as at least as new as those with smaller numbers. If most
files are of the future, or the clock has just jumped, the clock is wrong, and nothing is deleted for its age.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tfchain.monitoring.log.log_file import LogFile, list_files

_AHEAD_SECONDS = 60.0  # that a file's time may be after the clock's without anything being wrong
_JUMP_SECONDS = 600.0  # by which the clock may differ from the time that has passed
_FORGOTTEN_SECONDS = 2 * 86400.0  # who writes a file closes it after a day: this one's process has gone
_GRACE_SECONDS = 3600.0  # after a jump, in which somebody may set the clock right


class Purger:
    """Deletes a log's files for their age and size.

    Args:
        folder: The log's folder.
        max_bytes: The most bytes of all files.
        max_age_seconds: The age, since it was last written, at which a file is deleted.
        kind: The kind of the files that it looks at. Default: all.
        clock: The time by the wall clock. Default: `time.time`.
        monotonic: The time by a clock that never jumps. Default: `time.monotonic`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_age_seconds: float,
        kind: str | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age = max_age_seconds
        self._kind = kind
        self._clock = clock
        self._monotonic = monotonic
        self._last = clock(), monotonic()
        self._trusted_from = monotonic()

    def purge(self, keep: Collection[Path] = (), *, room: int = 0) -> list[Path]:
        """Deletes the files that are too old, and then the oldest until the rest is small enough.

        Args:
            keep: Files that are being written, and stay.
            room: The bytes that are about to be written. Default: 0.

        Returns:
            The files that were deleted.
        """
        now = self._clock()
        files = list_files(self._folder, self._kind)
        is_right = self._is_right(now, files)
        if is_right:
            _take_out_of_the_future(files, now)
        total = sum(file.size for file in files) + room
        deleted = []
        for file, written in zip(files, find_times(files, now), strict=True):
            age = now - written if is_right else 0.0
            is_in_use = file.is_open and age <= _FORGOTTEN_SECONDS
            if file.path not in keep and (age > self._max_age or (total > self._max_bytes and not is_in_use)):
                with contextlib.suppress(FileNotFoundError):  # another process may delete it first
                    file.path.unlink()
                total -= file.size
                deleted.append(file.path)
        return deleted

    def has_room(self, size: int) -> bool:
        """Returns whether so many bytes may be written."""
        return sum(file.size for file in list_files(self._folder, self._kind)) + size <= self._max_bytes

    def _is_right(self, now: float, files: Sequence[LogFile]) -> bool:
        """Returns whether the clock seems right: it has not jumped in the last hour, and most files are of its past."""
        moment = self._monotonic()
        before, moment_before = self._last
        self._last = now, moment
        if abs((now - before) - (moment - moment_before)) > _JUMP_SECONDS:
            self._trusted_from = moment + _GRACE_SECONDS
        num_ahead = sum(file.modified > now + _AHEAD_SECONDS for file in files)
        return moment >= self._trusted_from and 2 * num_ahead < max(len(files), 1)


def find_times(files: Sequence[LogFile], now: float) -> list[float]:
    """Returns when each file was last written, as far as a clock that goes back can tell.

    A file is at least as new as those with smaller numbers: one that was written while the clock was years behind is
    not deleted for its age. None is newer than now.

    Args:
        files: The files, by their numbers.
        now: The time by the wall clock.
    """
    times: list[float] = []
    for file in files:
        times.append(max(min(file.modified, now), times[-1] if times else 0.0))
    return times


def _take_out_of_the_future(files: Sequence[LogFile], now: float) -> None:
    """Gives the few files that were written while the clock was ahead today's date, so that they grow old from now."""
    for file in files:
        if file.modified > now + _AHEAD_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(file.path, (now, now))
