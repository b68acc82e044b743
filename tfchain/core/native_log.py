"""Keeps what C++ libraries print off standard error while they do what was asked of them."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_native_log() -> Iterator[None]:
    """Sends the process's standard error to nowhere while the block runs; an exception still comes through."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error to keep quiet
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
