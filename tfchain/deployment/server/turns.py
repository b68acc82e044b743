"""Turns: a limited number of threads work at the same time, first come, first served."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Turns:
    """Lets threads in by the order of their tickets, which a semaphore does not promise.

    Args:
        count: The number of threads that may hold a turn at the same time; at least 1.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def take_ticket(self) -> object:
        """Returns the next ticket of the queue, to be used in `hold` once."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        return ticket

    def give_back(self, ticket: object) -> None:
        """Takes a ticket out of the queue that will not be used: those behind it would wait without end."""
        with self._changed:
            self._queue.remove(ticket)
            self._changed.notify_all()

    @contextlib.contextmanager
    def hold(self, ticket: object) -> Iterator[None]:
        """Waits for the ticket's turn, and holds it during the `with` block."""
        with self._changed:
            while self._queue[0] is not ticket or not self._free:
                self._changed.wait(1.0)
            self._queue.popleft()
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()
