"""Vectors of documents in arrays that grow and lose documents, while whoever read them before goes on reading."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

NEVER = np.iinfo(np.int64).max  # when a document that is there was removed
SPARE = 512  # vectors: so few need no thrift


@dataclass(frozen=True)
class StoredVectors:
    """Vectors as an index keeps them.

    Args:
        values: float32 `(vectors, dim)`, int8 of the same shape, or bits in uint8 `(vectors, ceil(dim / 8))`.
        scales: For int8: what each vector's numbers are multiplied by, float32 `(vectors,)`. Default: there are none.
    """

    values: np.ndarray
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "StoredVectors":
        """Some of them, by anything that indexes an array."""
        return StoredVectors(self.values[rows], None if self.scales is None else self.scales[rows])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)


@dataclass
class _Arrays:
    """What a row of versions shares; the last of them alone may write.

    Args:
        stored: Vectors, with room behind them.
        offsets: Where each document's vectors begin, and where the last one's end; int64 `(documents + 1,)` and room.
        removed: The number of the version that removed each document; int64 `(documents,)` and room.
        version: The number of the last version.
    """

    stored: StoredVectors
    offsets: np.ndarray
    removed: np.ndarray
    version: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class VectorRows:
    """Documents' vectors as they are at one moment; adding and removing give the next version, and leave this one.

    Versions share their arrays: what is added goes behind the rows that older versions read, and what is removed is
    marked with the number of the version that did so. So a version costs as much as its change, and a reader neither
    waits nor copies. Each document has a slot, its place among all that were added, removed ones included; `compacted`
    drops these and counts anew.

    Args:
        stored: The documents' vectors, one after the other; they are not copied.
        counts: How many each document has, at least one. Default: no documents.
    """

    def __init__(self, stored: StoredVectors, counts: Sequence[int] | np.ndarray = ()) -> None:
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        self._set(_Arrays(stored, offsets, np.full(len(counts), NEVER)), 0, len(stored), len(counts), 0, 0)

    def _set(
        self, arrays: _Arrays, version: int, num_vectors: int, num_slots: int, lost_vectors: int, lost_slots: int
    ) -> "VectorRows":
        self._arrays = arrays
        self._version = version
        self.num_vectors = num_vectors  # those of removed documents included
        self.num_slots = num_slots
        self._lost_vectors = lost_vectors
        self._lost_slots = lost_slots
        return self

    def __len__(self) -> int:
        """Number of documents."""
        return self.num_slots - self._lost_slots

    def __reduce__(self) -> tuple[Any, ...]:
        return VectorRows, (self.live, self.counts)

    @property
    def all(self) -> StoredVectors:
        """All vectors, those of removed documents included: a view."""
        return self._arrays.stored[: self.num_vectors]

    @property
    def offsets(self) -> np.ndarray:
        """Where the vectors of each slot begin in `all`, and where the last one's end, int64 `(slots + 1,)`."""
        return self._arrays.offsets[: self.num_slots + 1]

    @property
    def is_dense(self) -> bool:
        """Whether no document has been removed."""
        return not self._lost_slots

    @property
    def is_sparse(self) -> bool:
        """Whether so much has been removed, an eighth, that moving the rest together is worth its time."""
        return 8 * self._lost_vectors > self.num_vectors + SPARE

    @cached_property
    def slots(self) -> np.ndarray:
        """Slots of the documents, in the order of adding, int64 `(documents,)`."""
        if self.is_dense:
            return np.arange(self.num_slots)
        return np.flatnonzero(self._is_there)

    @property
    def _is_there(self) -> np.ndarray:
        return self._arrays.removed[: self.num_slots] > self._version

    @property
    def _vectors_there(self) -> np.ndarray:
        return np.repeat(self._is_there, np.diff(self.offsets))

    @property
    def counts(self) -> np.ndarray:
        """Number of vectors of each document, int64 `(documents,)`."""
        counts = np.diff(self.offsets)
        return counts if self.is_dense else counts[self.slots]

    @property
    def live(self) -> StoredVectors:
        """The documents' vectors, without those of removed ones: a view if there are none, else a copy."""
        if self.is_dense:
            return self.all
        return self.all[self._vectors_there]

    @property
    def nbytes(self) -> int:
        """Bytes that `live` takes."""
        return self.all[:1].nbytes * (self.num_vectors - self._lost_vectors)

    def take(self, slots: np.ndarray) -> StoredVectors:
        """The vectors of some documents, one document's after the other's."""
        return self.all[self.find_vectors(slots)]

    def find_vectors(self, slots: np.ndarray) -> np.ndarray:
        """Rows in `all` of some documents' vectors, one document's after the other's, int64."""
        starts, counts = self.offsets[slots], self.offsets[slots + 1] - self.offsets[slots]
        begins = np.cumsum(counts) - counts  # of each document's rows among those that are given
        return np.arange(counts.sum()) + np.repeat(starts - begins, counts)

    def added(self, vectors: StoredVectors, counts: Sequence[int]) -> "VectorRows":
        """The version with documents behind those that are there; the arguments are those of the constructor."""
        end, num_slots = self.num_vectors + len(vectors), self.num_slots + len(counts)
        arrays, version = self._claim(end, num_slots)
        arrays.stored.values[self.num_vectors : end] = vectors.values
        if arrays.stored.scales is not None:
            arrays.stored.scales[self.num_vectors : end] = vectors.scales
        arrays.offsets[self.num_slots + 1 : num_slots + 1] = self.num_vectors + np.cumsum(counts)
        arrays.removed[self.num_slots : num_slots] = NEVER
        return self._make(arrays, version, end, num_slots, self._lost_vectors, self._lost_slots)

    def removed(self, slots: Sequence[int] | np.ndarray) -> "VectorRows":
        """The version without some documents, each named once; slots stay."""
        gone = np.asarray(slots, dtype=np.int64)
        arrays, version = self._claim(self.num_vectors, self.num_slots)
        arrays.removed[gone] = version
        lost = int((self.offsets[gone + 1] - self.offsets[gone]).sum())
        return self._make(
            *(arrays, version, self.num_vectors, self.num_slots),
            *(self._lost_vectors + lost, self._lost_slots + len(gone)),
        )

    def compacted(self) -> "VectorRows":
        """The same documents in arrays of their own, with new slots: 0, 1, …, and room for an eighth to come."""
        num_vectors, num_slots = self.num_vectors - self._lost_vectors, len(self)
        room, slots = _with_room(num_vectors), _with_room(num_slots)
        kept, there = self.all, self._vectors_there
        values = np.empty((room, *kept.values.shape[1:]), dtype=kept.values.dtype)
        np.compress(there, kept.values, axis=0, out=values[:num_vectors])
        scales = None if kept.scales is None else np.empty(room, dtype=kept.scales.dtype)
        if scales is not None and kept.scales is not None:
            scales[:num_vectors] = kept.scales[there]
        offsets = np.zeros(slots + 1, dtype=np.int64)
        np.cumsum(self.counts, out=offsets[1 : num_slots + 1])
        arrays = _Arrays(StoredVectors(values, scales), offsets, np.full(slots, NEVER))
        return self._make(arrays, 0, num_vectors, num_slots, 0, 0)

    def _claim(self, num_vectors: int, num_slots: int) -> tuple[_Arrays, int]:
        """Arrays with room for so many that the next version may write into, and that version's number."""
        arrays = self._arrays
        with arrays.lock:
            is_last = arrays.version == self._version
            if is_last and num_vectors <= len(arrays.stored) and num_slots <= len(arrays.removed):
                arrays.version += 1
                return arrays, arrays.version
        # Half as much again, so that adding one by one stays linear.
        room = max(_with_room(num_vectors), self.num_vectors * 3 // 2)
        slots = max(_with_room(num_slots), self.num_slots * 3 // 2)
        values = _grow(arrays.stored.values, self.num_vectors, room)
        scales = None if arrays.stored.scales is None else _grow(arrays.stored.scales, self.num_vectors, room)
        removed = np.full(slots, NEVER)
        removed[: self.num_slots][~self._is_there] = 0
        offsets = _grow(arrays.offsets, self.num_slots + 1, slots + 1)
        return _Arrays(StoredVectors(values, scales), offsets, removed, version=1), 1

    def _make(self, *values: Any) -> "VectorRows":
        return VectorRows.__new__(VectorRows)._set(*values)


def _with_room(number: int) -> int:
    """For an eighth more: pages of memory that are not written to are not there."""
    return number + number // 8 + SPARE


def _grow(array: np.ndarray, used: int, length: int) -> np.ndarray:
    grown = np.empty((length, *array.shape[1:]), dtype=array.dtype)
    grown[:used] = array[:used]
    return grown
