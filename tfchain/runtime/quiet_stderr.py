"""Keeps what C++ libraries print off standard error while they do what was asked of them."""

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_kept = -1


@contextlib.contextmanager
def quiet_native_log() -> Iterator[None]:
    """Sends the process's standard error to nowhere while the block runs; an exception still comes through.

    Threads may overlap: standard error comes back when the last of them has left.
    """
    try:
        _enter()
    except OSError:  # no standard error to keep quiet
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
