"""An array to which rows are added."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class GrowingArray:
    """Rows of one shape in one array with room to spare, which grows by half when it is full.

    Args:
        rows: The first rows, which give width and type. `(n, width)`
    """

    def __init__(self, rows: Array) -> None:
        self._array = rows
        self._length = len(rows)

    def __len__(self) -> int:
        return self._length

    @property
    def rows(self) -> Array:
        """The rows so far; a view, valid until the next `add`."""
        return self._array[: self._length]

    def add(self, rows: Array) -> None:
        """Adds rows of the same width and type."""
        needed = self._length + len(rows)
        if needed > len(self._array):
            larger = np.empty((max(needed, len(self._array) * 3 // 2, 1024), *self._array.shape[1:]), self._array.dtype)
            larger[: self._length] = self.rows
            self._array = larger
        self._array[self._length : needed] = rows
        self._length = needed
