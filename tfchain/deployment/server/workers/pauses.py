"""How long a worker that has ended waits until it is started again."""

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0


class Pauses:
    """The growing pauses of one worker: a tenth of a second, then twice as long each time, and at most ten seconds.

    A worker that was ready for longer than the longest pause begins anew.

    Args:
        first_seconds: The first pause.
        longest_seconds: The longest pause.
    """

    def __init__(self, first_seconds: float = FIRST_SECONDS, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def after(self, ready_seconds: float) -> float:
        """Returns the pause after a worker's end.

        Args:
            ready_seconds: How long the worker was ready; 0 if it never was.
        """
        if ready_seconds > self._longest_seconds:
            self._next_seconds = self._first_seconds
        pause = self._next_seconds
        self._next_seconds = min(2 * pause, self._longest_seconds)
        return pause
