"""Who is let in: the requests for models that run or wait, over both protocols."""

import threading

from tfchain.deployment.server.status import Code, StatusError

DEFAULT_ROWS = 65_536
RETRY_SECONDS = 1  # when a client that was refused may ask again


class OverloadedError(StatusError):
    """A request too many: 429 over REST, RESOURCE_EXHAUSTED over gRPC."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            Code.RESOURCE_EXHAUSTED, f"The server is overloaded: {limit} requests are running or waiting. Try again."
        )


class Gate:
    """Counts the requests that run or wait, and lets no more than a limit in; threads share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Counts a request in; call `leave` at its end.

        Raises:
            OverloadedError: if as many as the limit are in.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise OverloadedError(self._limit)
            self._inside += 1

    def leave(self) -> None:
        """Counts a request out."""
        with self._lock:
            self._inside -= 1


def check_rows(count: int, most: int) -> None:
    """Raises if a request has too many rows.

    Args:
        count: Its rows, or strings.
        most: The most.

    Raises:
        StatusError: INVALID_ARGUMENT, with what to do.
    """
    if count > most:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"A request must have at most {most} rows. Received: {count}. Send them in several requests, or start the "
            "server with a larger --max_request_rows.",
        )
