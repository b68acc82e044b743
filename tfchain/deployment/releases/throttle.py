"""Keeps work in the background to a share of the time, so that a live service beside it keeps its processor."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfchain.core.errors import InputError


class Throttle:
    """Rests after each piece of work, so that the work takes at most a share of the time.

    Args:
        max_share: The share, above 0 up to 1. With 0.5 a piece of two seconds is followed by a rest of two seconds.
        clock: Seconds of a clock that never goes back. Default: `time.monotonic`.
        wait: Waits so many seconds. Default: `time.sleep`.

    Raises:
        InputError: if the share is out of range.
    """

    def __init__(
        self,
        max_share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        is_number = isinstance(max_share, int | float) and not isinstance(max_share, bool)
        if not is_number or not 0 < max_share <= 1:
            raise InputError(
                f"`max_share` must be above 0 and at most 1. Received: max_share={max_share!r}. "
                "Use 0.5 to work half of the time."
            )
        self._rest_ratio = 1 / max_share - 1
        self._clock = clock
        self._wait = wait

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Measures the work in the block, and rests after it."""
        start = self._clock()
        yield
        rest = (self._clock() - start) * self._rest_ratio
        if rest > 0:
            self._wait(rest)
