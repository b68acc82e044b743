"""`Watch`: writes down how long a step has worked while it works, and stops it when its time is over."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

logger = logging.getLogger(__name__)
MOST_SECONDS = 3e7  # a year: the system's timers take no infinite time
AGAIN_SECONDS = 1.0
JOIN_SECONDS = 10.0


class OutOfTime(BaseException):
    """Raised in the main thread when a step has used up its time; not an `Exception`, so that no step swallows it."""


class Watch:
    """Watches over a block. Use it in a `with` statement.

    The block is interrupted between two of Python's operations: a long computation in C ends first. Only a block in
    the main thread can be interrupted; in other threads limits count between steps alone.

    Args:
        seconds: How long the block may take; infinity for no limit.
        beat: Called with the seconds so far, about every `every_seconds`, in a thread of its own.
        every_seconds: The time between two calls. Default: 2.

    Raises:
        OutOfTime: in the block, when its time is over.
    """

    def __init__(self, seconds: float, beat: Callable[[float], Any], *, every_seconds: float = 2.0) -> None:
        self._limit = seconds
        self._beat = beat
        self._every = every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lifecycle-watch", daemon=True)
        self._start = 0.0
        self._is_main = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._thread.start()
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main and not math.isinf(self._limit):
            self._before = signal.signal(signal.SIGALRM, self._interrupt)
            # Again and again: an interrupt within a callback from C is lost.
            signal.setitimer(signal.ITIMER_REAL, min(max(self._limit, 1e-3), MOST_SECONDS), AGAIN_SECONDS)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._disarm()
        self.close()

    @property
    def seconds(self) -> float:
        """How long the block has worked."""
        return time.monotonic() - self._start

    def close(self) -> None:
        """Ends the thread."""
        self._done.set()
        self._thread.join(JOIN_SECONDS)

    def _disarm(self) -> None:
        while self._before is not None:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, self._before)
                self._before = None
            except OutOfTime:  # it came between: the block is over all the same
                continue

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._beat(self.seconds)
            except Exception as error:  # the step goes on; the next beat may succeed
                logger.warning("Could not write down the progress of a step: %s", error)
