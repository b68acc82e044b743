"""The end of a gRPC server: new calls are refused in words for a moment, before the port closes."""

import threading
import time

from tfchain.deployment.server.status import Code, StatusError

_MOST_SECONDS = 0.25
_QUIET_SECONDS = 0.05


class Farewell:
    """Knows whether the server is stopping, and whether clients still call.

    When a gRPC server stops, it cancels the calls that have arrived and were not taken up yet, and a client cannot tell
    what became of them. So calls are answered UNAVAILABLE first, until the clients are quiet.
    """

    def __init__(self) -> None:
        self._last_call = float("-inf")
        self._stopping = threading.Event()

    def check(self) -> None:
        """Takes note of a call.

        Raises:
            StatusError: if the server is stopping.
        """
        self._last_call = time.monotonic()
        if self._stopping.is_set():
            raise StatusError(Code.UNAVAILABLE, "The server is stopping.")

    def say(self) -> None:
        """Refuses calls from now on, and returns when the clients are quiet, or after a moment."""
        self._stopping.set()
        end = time.monotonic() + _MOST_SECONDS
        while (now := time.monotonic()) < min(end, self._last_call + _QUIET_SECONDS):
            time.sleep(min(end, self._last_call + _QUIET_SECONDS) - now)
