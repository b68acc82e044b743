"""A lock that many threads can share for reading, and that one thread holds alone for writing."""

import contextlib
import threading
from collections.abc import Iterator


class SharedLock:
    """Lets any number of threads read at the same time, and keeps writers out meanwhile.

    A thread that waits to write keeps new readers out, so that it gets its turn. A thread that already reads may enter
    again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers: dict[int, int] = {}  # thread → how often it has entered
        self._writer: int | None = None
        self._waiting = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Keeps writers out while the block runs."""
        me = threading.get_ident()
        with self._changed:
            if me not in self._readers and me != self._writer:
                self._changed.wait_for(lambda: self._writer is None and not self._waiting)
            self._readers[me] = self._readers.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._readers[me] -= 1
                if not self._readers[me]:
                    del self._readers[me]
                    self._changed.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps everyone else out while the block runs.

        Raises:
            RuntimeError: if this thread already holds the lock, and would wait for itself.
        """
        me = threading.get_ident()
        with self._changed:
            if me in self._readers or me == self._writer:
                raise RuntimeError("This thread reads what it wants to write. Leave the block that reads first.")
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._writer is None and not self._readers)
            finally:
                self._waiting -= 1
                self._changed.notify_all()
            self._writer = me
        try:
            yield
        finally:
            with self._changed:
                self._writer = None
                self._changed.notify_all()
