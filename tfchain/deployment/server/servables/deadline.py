"""The deadline of a request that is answered in several steps."""

import time

from tfchain.deployment.server.status import Code, StatusError


class Deadline:
    """The time at which a request must be answered.

    Args:
        timeout_ms: The time from now on; None for no limit.
    """

    def __init__(self, timeout_ms: int | None) -> None:
        self._end = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000

    def left_seconds(self) -> float | None:
        """Returns the remaining seconds, 0 if the time is up; None for no limit."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    def left_ms(self) -> int | None:
        """Returns the remaining milliseconds, at least 1; None for no limit.

        Raises:
            StatusError: if the time is up.
        """
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise deadline_exceeded()
        return max(1, int(left * 1000))


def deadline_exceeded() -> StatusError:
    """Returns the error of a request whose time is up, in the words of TensorFlow's session."""
    return StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
