"""Keeps the log output of C++ libraries off standard error while they run."""

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_kept = -1


@contextlib.contextmanager
def quiet_native_log() -> Iterator[None]:
    """Discards the process's standard error while the block runs; exceptions still propagate.

    Blocks of several threads may overlap: standard error is restored when the last block ends.
    """
    try:
        _enter()
    except OSError:  # the process has no standard error
        yield
        return
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _kept
    with _lock:
        if not _users:
            _kept = os.dup(2)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
        _users += 1


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if not _users:
            os.dup2(_kept, 2)
            os.close(_kept)
