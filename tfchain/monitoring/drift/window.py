"""A sliding window over a stream: the latest vectors, scalars and texts, in memory that does not grow."""

from collections import deque
from collections.abc import Mapping

import numpy as np

LONGEST_TEXT = 500  # characters kept of a text, for examples


class Window:
    """The latest items of a stream. They are counted, not timed, so a clock that goes back does not matter.

    Args:
        size: How many items it holds.
        dim: The width of the vectors; 0 for items without.
        scalars: The names of the scalars of each item.
    """

    def __init__(self, size: int, dim: int, scalars: tuple[str, ...]) -> None:
        self._size = size
        self._vectors = np.zeros((size, dim), np.float32)
        self._scalars = {name: np.full(size, np.nan) for name in scalars}
        self._texts: deque[str] = deque(maxlen=size)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, self._size)

    @property
    def is_full(self) -> bool:
        """Whether it holds as many items as it can."""
        return self._count >= self._size

    def add(self, vector: np.ndarray | None, scalars: Mapping[str, float | None], text: str) -> None:
        """Takes an item in, and lets the oldest go if it is full."""
        place = self._count % self._size
        if vector is not None:
            self._vectors[place] = vector
        for name, values in self._scalars.items():
            value = scalars.get(name)
            values[place] = np.nan if value is None else value
        self._texts.append(text[:LONGEST_TEXT])
        self._count += 1

    def clear(self) -> None:
        """Lets all items go."""
        self._count = 0
        self._texts.clear()

    @property
    def vectors(self) -> np.ndarray:
        """The vectors, oldest first, float32 `(items, dim)`."""
        return self._in_order(self._vectors)

    @property
    def texts(self) -> list[str]:
        """The beginnings of the texts, oldest first."""
        return list(self._texts)

    def scalar(self, name: str) -> np.ndarray:
        """Returns a scalar's values, oldest first; items without the scalar are left out."""
        values = self._in_order(self._scalars[name])
        return values[~np.isnan(values)]

    def _in_order(self, values: np.ndarray) -> np.ndarray:
        return np.roll(values, -(self._count % self._size), axis=0) if self.is_full else values[: self._count]
