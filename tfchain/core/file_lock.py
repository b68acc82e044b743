"""A file that one process at a time holds locked."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tfchain.core.atomic import writing
from tfchain.core.errors import TfchainError


@contextlib.contextmanager
def file_lock(path: Path, *, taken: TfchainError, wait_seconds: float = 0.0) -> Iterator[None]:
    """Keeps other processes that lock the same file out while the block runs.

    The lock ends with the process, however it ends; the file stays. Its folder must exist.

    Args:
        path: The file, which is made if it is missing.
        taken: The error to raise if another process, or another block of this one, holds the lock.
        wait_seconds: How long to wait for it before that. Default: not at all.

    Raises:
        TfchainError: `taken`, or if the file cannot be written.
    """
    with writing(path):
        file = open(path, "w")  # noqa: SIM115 - the block below closes it
    deadline = time.monotonic() + wait_seconds
    with file:
        while not _takes(file):
            if time.monotonic() >= deadline:
                raise taken
            time.sleep(0.02)
        yield


def _takes(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
