"""A table from hashes to numbers that grows: a few sorted arrays, without a Python object per entry."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class SortedRuns:
    """Keys with a value each, in sorted arrays that are merged as they grow.

    Adding `n` entries costs `O(n log n)` over the table's life, a look-up a binary search in each of at most
    `log2(n)` arrays. A key may have many values.

    Attributes:
        runs: Pairs of arrays, keys and values, ascending by key; each is over twice as long as the next.
    """

    runs: list[tuple[Array, Array]] = field(default_factory=list)

    def add(self, keys: Array, values: Array) -> None:
        """Adds entries.

        Args:
            keys: Unsigned integers; the same type in each call. `(n,)`
            values: Unsigned integers. `(n,)`
        """
        if not len(keys):
            return
        self.runs.append(sort_entries(keys, values))
        while len(self.runs) > 1 and len(self.runs[-2][0]) <= 2 * len(self.runs[-1][0]):
            (old_keys, old_values), (new_keys, new_values) = self.runs[-2:]
            del self.runs[-2:]
            self.runs.append(
                sort_entries(np.concatenate([old_keys, new_keys]), np.concatenate([old_values, new_values]))
            )

    def find(self, keys: Array) -> tuple[Array, Array]:
        """Finds all values of some keys.

        Args:
            keys: Keys to look up. `(n,)`

        Returns:
            Places in `keys`, and a value of each. A place stands there once for each value found, in no order.
            `(found,)`, `(found,)`
        """
        places, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for run_keys, run_values in self.runs:
            starts = np.searchsorted(run_keys, keys, side="left")
            hits = np.flatnonzero(run_keys[np.minimum(starts, len(run_keys) - 1)] == keys)
            if not len(hits):
                continue
            counts = np.searchsorted(run_keys, keys[hits], side="right") - starts[hits]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            places.append(np.repeat(hits, counts))
            values.append(run_values[np.repeat(starts[hits], counts) + within].astype(np.int64))
        return np.concatenate(places), np.concatenate(values)

    def save(self, folder: Path) -> None:
        """Writes the entries to two files in a folder."""
        keys = [run[0] for run in self.runs] or [np.empty(0, np.uint64)]
        values = [run[1] for run in self.runs] or [np.empty(0, np.uint64)]
        np.save(folder / "keys.npy", np.concatenate(keys))
        np.save(folder / "values.npy", np.concatenate(values))

    @classmethod
    def load(cls, folder: Path) -> "SortedRuns":
        """Reads what `save` wrote."""
        table = cls()
        table.add(*(np.load(folder / name, allow_pickle=False) for name in ("keys.npy", "values.npy")))
        return table


def sort_entries(keys: Array, values: Array) -> tuple[Array, Array]:
    """Returns entries ascending by key; of one key in their order."""
    order = np.argsort(keys, kind="stable")
    return keys[order], values[order]
