"""Vectors of documents in arrays to which documents are added and removed without disturbing concurrent readers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tfchain.models.indexes.native_vectors import VectorCopies, is_suitable

NEVER = np.iinfo(np.int64).max  # the removing version of a document that has not been removed
SPARE = 512  # vectors; fewer are not worth saving


@dataclass(frozen=True)
class StoredVectors:
    """Vectors as an index keeps them.

    Args:
        values: float32 `(vectors, dim)`, int8 of the same shape, or bits in uint8 `(vectors, ceil(dim / 8))`.
        scales: For int8: the factor of each vector's numbers, float32 `(vectors,)`. Default: none.
    """

    values: np.ndarray
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "StoredVectors":
        """Returns some of the vectors, by anything that indexes an array."""
        return StoredVectors(self.values[rows], None if self.scales is None else self.scales[rows])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)


@dataclass
class _Arrays:
    """The arrays that a series of versions shares; only the last version may write.

    Args:
        stored: Vectors, with room at the end.
        offsets: The start of each document's vectors, and the end of the last, int64 `(documents + 1,)` and room.
        removed: The number of the version that removed each document, int64 `(documents,)` and room.
        version: The number of the last version.
        copies: Copies of the vectors for the kernels; None before the first search.
    """

    stored: StoredVectors
    offsets: np.ndarray
    removed: np.ndarray
    version: int = 0
    copies: VectorCopies | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class VectorRows:
    """An immutable version of the documents' vectors; adding and removing return the next version.

    Versions share their arrays: added vectors follow the rows that older versions read, and removed documents are
    marked with the number of the version that removed them. So a version costs as much as its change, and a reader
    neither waits nor copies. Each document has a slot, its position among all added documents, including removed ones;
    `compacted` drops removed documents and numbers the slots again.

    Args:
        stored: The vectors, document by document; they are not copied.
        counts: The number of vectors of each document, at least 1. Default: no documents.
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
        self.num_vectors = num_vectors  # including removed documents
        self.num_slots = num_slots
        self._lost_vectors = lost_vectors
        self._lost_slots = lost_slots
        return self

    def __len__(self) -> int:
        """Returns the number of documents."""
        return self.num_slots - self._lost_slots

    def __reduce__(self) -> tuple[Any, ...]:
        return VectorRows, (self.live, self.counts)

    @property
    def all(self) -> StoredVectors:
        """All vectors, including those of removed documents: a view."""
        return self._arrays.stored[: self.num_vectors]

    @property
    def offsets(self) -> np.ndarray:
        """The start in `all` of each slot's vectors, and the end of the last, int64 `(slots + 1,)`."""
        return self._arrays.offsets[: self.num_slots + 1]

    @property
    def is_dense(self) -> bool:
        """Whether no document has been removed."""
        return not self._lost_slots

    @property
    def is_sparse(self) -> bool:
        """Whether so much has been removed, an eighth, that `compacted` is worth its time."""
        return 8 * self._lost_vectors > self.num_vectors + SPARE

    @cached_property
    def slots(self) -> np.ndarray:
        """Slots of the documents, in the order of adding, int64 `(documents,)`."""
        if self.is_dense:
            return np.arange(self.num_slots)
        return np.flatnonzero(self._is_live)

    @property
    def _is_live(self) -> np.ndarray:
        return self._arrays.removed[: self.num_slots] > self._version

    @property
    def _vector_is_live(self) -> np.ndarray:
        return np.repeat(self._is_live, np.diff(self.offsets))

    @property
    def counts(self) -> np.ndarray:
        """Number of vectors of each document, int64 `(documents,)`."""
        counts = np.diff(self.offsets)
        return counts if self.is_dense else counts[self.slots]

    @property
    def live(self) -> StoredVectors:
        """All vectors without those of removed documents: a view if none have been removed, else a copy."""
        if self.is_dense:
            return self.all
        return self.all[self._vector_is_live]

    @property
    def nbytes(self) -> int:
        """Bytes of `live`."""
        return self.all[:1].nbytes * (self.num_vectors - self._lost_vectors)

    def copies(self) -> VectorCopies | None:
        """Returns copies of `all` in 8 bits, which are made once; None if the kernels cannot search these vectors."""
        arrays, stored = self._arrays, self._arrays.stored
        if arrays.copies is not None and arrays.copies.num_vectors >= self.num_vectors:
            return arrays.copies
        if not is_suitable(stored.values, stored.scales):
            return None
        with arrays.lock:
            if arrays.copies is None:
                arrays.copies = VectorCopies(stored.values, stored.scales)
            arrays.copies.extend(self.num_vectors)
            return arrays.copies

    def take(self, slots: np.ndarray) -> StoredVectors:
        """Returns the vectors of some documents, document by document."""
        return self.all[self.find_vectors(slots)]

    def find_vectors(self, slots: np.ndarray) -> np.ndarray:
        """Returns the rows in `all` of some documents' vectors, document by document, int64."""
        starts, counts = self.offsets[slots], self.offsets[slots + 1] - self.offsets[slots]
        begins = np.cumsum(counts) - counts  # of each document in the result
        return np.arange(counts.sum()) + np.repeat(starts - begins, counts)

    def added(self, vectors: StoredVectors, counts: Sequence[int]) -> "VectorRows":
        """Returns a version with more documents at the end; the arguments are those of the constructor."""
        end, num_slots = self.num_vectors + len(vectors), self.num_slots + len(counts)
        arrays, version = self._claim(end, num_slots)
        arrays.stored.values[self.num_vectors : end] = vectors.values
        if arrays.stored.scales is not None:
            arrays.stored.scales[self.num_vectors : end] = vectors.scales
        arrays.offsets[self.num_slots + 1 : num_slots + 1] = self.num_vectors + np.cumsum(counts)
        arrays.removed[self.num_slots : num_slots] = NEVER
        return self._make(arrays, version, end, num_slots, self._lost_vectors, self._lost_slots)

    def removed(self, slots: Sequence[int] | np.ndarray) -> "VectorRows":
        """Returns a version without some documents, given by slot without duplicates; slots do not change."""
        gone = np.asarray(slots, dtype=np.int64)
        arrays, version = self._claim(self.num_vectors, self.num_slots)
        arrays.removed[gone] = version
        lost = int((self.offsets[gone + 1] - self.offsets[gone]).sum())
        return self._make(
            *(arrays, version, self.num_vectors, self.num_slots),
            *(self._lost_vectors + lost, self._lost_slots + len(gone)),
        )

    def compacted(self) -> "VectorRows":
        """Returns the documents in new arrays with new slots, 0, 1, …, and room for an eighth more."""
        num_vectors, num_slots = self.num_vectors - self._lost_vectors, len(self)
        room, slots = _with_room(num_vectors), _with_room(num_slots)
        stored, is_live = self.all, self._vector_is_live
        values = np.empty((room, *stored.values.shape[1:]), dtype=stored.values.dtype)
        np.compress(is_live, stored.values, axis=0, out=values[:num_vectors])
        scales = None if stored.scales is None else np.empty(room, dtype=stored.scales.dtype)
        if scales is not None and stored.scales is not None:
            scales[:num_vectors] = stored.scales[is_live]
        offsets = np.zeros(slots + 1, dtype=np.int64)
        np.cumsum(self.counts, out=offsets[1 : num_slots + 1])
        arrays = _Arrays(StoredVectors(values, scales), offsets, np.full(slots, NEVER))
        return self._make(arrays, 0, num_vectors, num_slots, 0, 0)

    def _claim(self, num_vectors: int, num_slots: int) -> tuple[_Arrays, int]:
        """Returns arrays for the next version with room for its vectors and slots, and that version's number."""
        arrays = self._arrays
        with arrays.lock:
            is_last = arrays.version == self._version
            if is_last and num_vectors <= len(arrays.stored) and num_slots <= len(arrays.removed):
                arrays.version += 1
                return arrays, arrays.version
        # Grows by half, so that adding documents one by one takes linear time.
        room = max(_with_room(num_vectors), self.num_vectors * 3 // 2)
        slots = max(_with_room(num_slots), self.num_slots * 3 // 2)
        values = _grow(arrays.stored.values, self.num_vectors, room)
        scales = None if arrays.stored.scales is None else _grow(arrays.stored.scales, self.num_vectors, room)
        removed = np.full(slots, NEVER)
        removed[: self.num_slots][~self._is_live] = 0
        offsets = _grow(arrays.offsets, self.num_slots + 1, slots + 1)
        return _Arrays(StoredVectors(values, scales), offsets, removed, version=1), 1

    def _make(self, *values: Any) -> "VectorRows":
        return VectorRows.__new__(VectorRows)._set(*values)


def _with_room(number: int) -> int:
    """Returns a number with room for an eighth more; memory pages that are never written take no space."""
    return number + number // 8 + SPARE


def _grow(array: np.ndarray, used: int, length: int) -> np.ndarray:
    grown = np.empty((length, *array.shape[1:]), dtype=array.dtype)
    grown[:used] = array[:used]
    return grown
