"""Batches in which no text appears twice, filled in one pass over the rows."""

from collections import deque
from itertools import islice

import numpy as np


def fill_distinct(order: np.ndarray, keys: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Distributes rows over batches so that no key appears twice in a batch.

    Rows are taken in the given order. A row with a key that the batch already has waits under that key, and is tried
    first in the next batch. A key that as many of the remaining rows have as there are batches left is placed in each
    of those batches, so that it does not end in a series of short batches.

    Args:
        order: Row numbers, each once.
        keys: `(rows, columns)`; a key that appears twice in a row counts once.
        batch_size: Rows per batch.

    Returns:
        The row numbers of each batch, int64; short batches are mostly at the end.
    """
    filler = BatchFiller(order, keys, batch_size)
    batches: list[np.ndarray] = []
    while filler.num_left:
        batches.append(np.array(filler.fill(), dtype=np.int64))
    return batches


class BatchFiller:
    """Fills one batch after the other; see `fill_distinct`.

    The work on a batch is bounded by its size, not by the number of waiting rows, so the total time is proportional to
    rows and batches, however many duplicates there are.
    """

    def __init__(self, order: np.ndarray, keys: np.ndarray, batch_size: int) -> None:
        self.num_left = len(order)
        self._batch_size = batch_size
        self._order = order.tolist()
        self._next = 0  # index in `_order` of the first row that has not been offered to a batch
        self._placed = bytearray(len(order))
        self._keys, counts = share_keys(keys)
        self._members = list_members(self._order, self._keys, len(counts))
        self._first_member = [0] * len(counts)
        self._counts = counts  # by key: the number of its rows that are not in a batch yet
        self._by_count: list[dict[int, None]] = [{} for _ in range(max(counts, default=0) + 1)]
        for key, count in enumerate(counts):
            self._by_count[count][key] = None  # the dict serves as a set with the same order on every machine
        self._most = len(self._by_count) - 1
        self._batches_left = max(-(-len(order) // batch_size), self._most)
        self._parked: dict[int, deque[int]] = {}
        self._waiting: deque[int] = deque()  # the keys of `_parked`, longest wait first
        self._batch: list[int] = []
        self._used: set[int] = set()

    def fill(self) -> list[int]:
        """Returns the row numbers of the next batch."""
        self._batch, self._used = [], set()
        self._take_urgent()
        self._take_waiting()
        self._take_new()
        self._batches_left = max(1, self._batches_left - 1)
        return self._batch

    def _take_urgent(self) -> None:
        """Takes a row of each key that would otherwise run out of batches."""
        while self._most and not self._by_count[self._most]:
            self._most -= 1
        for count in range(self._most, self._batches_left - 1, -1):
            for key in list(islice(self._by_count[count], 2 * self._batch_size)):
                if len(self._batch) == self._batch_size:
                    return
                if key not in self._used:
                    self._take_member(key)

    def _take_member(self, key: int) -> None:
        members = self._members[key]
        first = self._first_member[key]
        while self._placed[members[first]]:
            first += 1
        self._first_member[key] = first
        for row in members[first : first + 4]:
            if not self._placed[row] and self._used.isdisjoint(self._keys[row]):
                self._place(row)
                return

    def _take_waiting(self) -> None:
        """Takes waiting rows, at most one per key."""
        for _ in range(min(len(self._waiting), 4 * self._batch_size)):
            if len(self._batch) == self._batch_size:
                return
            key = self._waiting.popleft()
            parked = self._parked[key]
            while parked and self._placed[parked[0]]:
                parked.popleft()
            if parked and key not in self._used:
                self._offer(parked.popleft())
            if parked:
                self._waiting.append(key)
            else:
                del self._parked[key]

    def _take_new(self) -> None:
        """Takes new rows in order; rows that collide start to wait."""
        order, placed = self._order, self._placed
        while len(self._batch) < self._batch_size and self._next < len(order):
            row = order[self._next]
            self._next += 1
            if not placed[row]:
                self._offer(row)

    def _offer(self, row: int) -> None:
        """Puts a row into the batch, or parks it under the key that collides."""
        for key in self._keys[row]:
            if key in self._used:
                if key not in self._parked:
                    self._parked[key] = deque()
                    self._waiting.append(key)
                self._parked[key].append(row)
                return
        self._place(row)

    def _place(self, row: int) -> None:
        self._batch.append(row)
        self._placed[row] = 1
        self.num_left -= 1
        for key in self._keys[row]:
            self._used.add(key)
            count = self._counts[key]
            del self._by_count[count][key]
            self._counts[key] = count - 1
            if count > 1:
                self._by_count[count - 1][key] = None


def share_keys(keys: np.ndarray) -> tuple[list[list[int]], list[int]]:
    """Numbers the keys that several rows share, from 0; returns each row's keys, and the number of rows of each key."""
    values, numbers = np.unique(keys, return_inverse=True)
    numbers = numbers.reshape(keys.shape)
    again = np.zeros(keys.shape, dtype=bool)  # the row has this key in an earlier column
    for column in range(1, keys.shape[1]):
        again[:, column] = (numbers[:, :column] == numbers[:, column : column + 1]).any(axis=1)
    counts = np.bincount(numbers[~again], minlength=len(values))
    shared = np.flatnonzero(counts > 1)
    renumbered = np.full(len(values), -1, dtype=np.int64)
    renumbered[shared] = np.arange(len(shared))
    cells = np.where(again, -1, renumbered[numbers])
    return [[key for key in row if key >= 0] for row in cells.tolist()], counts[shared].tolist()


def list_members(order: list[int], keys: list[list[int]], num_keys: int) -> list[list[int]]:
    """Returns the rows of each key, in the given order."""
    members: list[list[int]] = [[] for _ in range(num_keys)]
    for row in order:
        for key in keys[row]:
            members[key].append(row)
    return members
