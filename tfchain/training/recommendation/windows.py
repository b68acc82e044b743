"""Cuts the histories of users into windows, which are the rows of a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.data.interactions.interactions import Interactions

PADDING = -1  # in place of an item


@dataclass(frozen=True, eq=False)
class HistoryWindows:
    """The windows of each epoch: parts of histories, in which each item that counts is to be told from those before it.

    A history that is longer than a window is cut into several, which overlap by half, so that each item has at least
    half a window before it; where the cuts are is random in each epoch. An item counts in one window.

    Args:
        interactions: The histories.
        length: The most items before another, `max_history`.
        seed: The seed of the cuts and of the order.
        most_windows: The most windows of a user in an epoch, drawn at random; None for all. With few, users of long
            histories weigh no more than others. Default: None.
    """

    interactions: Interactions
    length: int
    seed: int = 0
    most_windows: int | None = None

    @property
    def num_windows(self) -> int:
        """The number of windows in an epoch, the same in each."""
        counts = np.diff(self.interactions.starts)
        return int(sum(self._count(int(count)) for count in counts))

    def of_epoch(self, epoch: int) -> Iterator[dict[str, Any]]:
        """Yields the windows of an epoch, the same for the same number.

        Each has `items`, int32 `(length + 1,)`, padded by -1; `counts`, bool of the same shape, which of them are to be
        told; `user`, the user's row.
        """
        random = np.random.default_rng((self.seed, epoch))
        cuts = [(user, start) for user in range(len(self.interactions.users)) for start in self._cut(user, random)]
        for place in random.permutation(len(cuts)):
            user, start = cuts[place]
            yield self._window(user, start)

    def _count(self, size: int) -> int:
        if not size:
            return 0
        windows = 1 if size <= self.length + 1 else 1 + -(-size // self._step)
        return windows if self.most_windows is None else min(windows, self.most_windows)

    @property
    def _step(self) -> int:
        return max(1, (self.length + 1) // 2)

    def _cut(self, user: int, random: np.random.Generator) -> list[int]:
        """Returns where the windows of a user begin; one may begin before the history, and is cut off there."""
        size = int(np.diff(self.interactions.starts[user : user + 2])[0])
        if not size:
            return []
        if size <= self.length + 1:
            return [0]
        step = self._step
        number = 1 + -(-size // step)  # one more than needed, as the first is cut off at random
        shift = int(random.integers(step))
        starts = [place * step - step - shift for place in range(number)]
        if self.most_windows is not None and number > self.most_windows:
            starts = [starts[place] for place in random.choice(number, self.most_windows, replace=False)]
        return starts

    def _window(self, user: int, start: int) -> dict[str, Any]:
        history = self.interactions.of_user(user)
        width = self.length + 1
        items = np.full(width, PADDING, dtype="int32")
        counts = np.zeros(width, dtype=bool)
        begin = max(start, 0)
        if len(history) <= width:
            part, first = history, 0
        else:
            end = start + 2 * self._step
            part, first = history[begin:end], max(start + self._step, 0) - begin
        items[: len(part)] = part
        counts[first : len(part)] = True
        return {"items": items, "counts": counts, "user": np.int32(user)}
