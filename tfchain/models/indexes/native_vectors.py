"""Exact search by the compiled kernels, which read most vectors in 8 bits only: `engines/kernels/search.c`."""

import ctypes
import functools
from typing import Any

import numpy as np

from tfchain.models.native_library import find_obstacle, load_library
from tfchain.runtime.litert import count_cores

MOST_HITS = 256  # for more, NumPy may be faster
MOST_DIM = 32_768  # so that a sum of products of bytes fits into 32 bits
BYTES_ALONE = 4 * 2**20  # of copies that one thread reads before others could have begun
DONE, OUT_OF_RANGE = 0, 1  # what the library's function returns
_POINTERS = ("values", "bytes", "scales", "errors", "lengths", "sums", "added", "offsets")


class _Vectors(ctypes.Structure):
    """What the library knows of vectors; in the order of `Vectors` in search.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in ("vectors", "documents", "dim")),
    )


class VectorCopies:
    """Copies of vectors in 8 bits, each with a bound of what it leaves out.

    They take a quarter of the memory of float32 vectors; vectors in int8 are their own copies. Vectors are copied when
    they are first searched, and must not change after that. One thread at a time may call `extend`; `find_best` may
    run beside it.

    Args:
        values: float32 or int8 `(vectors, dim)`, for which `is_suitable` returns True; not copied, and maybe with room
            for later vectors at the end.
        scales: For int8: the factor of each vector's numbers, float32 `(vectors,)`. Default: none.
        added: Finite numbers to add to each vector's scores, float32 `(vectors,)`. Default: none.
    """

    def __init__(
        self, values: np.ndarray, scales: np.ndarray | None = None, *, added: np.ndarray | None = None
    ) -> None:
        room, self.dim = values.shape
        self.num_vectors = 0
        self._is_float = scales is None
        self._values = values
        self._bytes = np.empty((room, self.dim), dtype="int8") if scales is None else values
        self._scales = np.empty(room, dtype="float32") if scales is None else scales
        self._errors, self._lengths = np.empty(room, dtype="float32"), np.empty(room, dtype="float32")
        self._sums = np.empty(room, dtype="int32")
        self._longest = 0.0
        self._added = None if added is None else np.ascontiguousarray(added, dtype="float32")
        self._most_added = 0.0 if added is None else float(np.abs(added).max(initial=0.0))

    @property
    def nbytes(self) -> int:
        """Bytes of what the vectors so far take beside themselves."""
        return self.num_vectors * (12 + (self.dim + 4 if self._is_float else 0))

    def extend(self, num_vectors: int) -> None:
        """Copies the vectors up to a number, if they have not been copied."""
        begin, count = self.num_vectors, num_vectors - self.num_vectors
        if count <= 0:
            return
        arrays = (self._bytes, self._scales, self._errors, self._lengths, self._sums)
        _load().tfchain_copy_vectors(
            self._values[begin:].ctypes.data if self._is_float else None,
            *(count, self.dim, *(array[begin:].ctypes.data for array in arrays)),
        )
        self._longest = float(np.maximum(self._longest, self._lengths[begin:num_vectors].max()))
        self.num_vectors = num_vectors

    def find_best(
        self,
        queries: np.ndarray,
        top_k: int,
        *,
        num_vectors: int,
        offsets: np.ndarray,
        allowed: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Finds the documents with the largest scores, as if each vector had been scored in float32.

        A score is the sum of products in float32, plus what is added, the same on its own and among others; a
        document's is that of its best vector.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: The number of documents; at most as many as may be found.
            num_vectors: How many of the vectors to search; `extend` has copied them.
            offsets: The start of each document's vectors, and the end of the last, int64 `(documents + 1,)`.
            allowed: Which documents may be found, booleans `(documents,)`. Default: all.

        Returns:
            Documents and scores, int64 and float32 `(queries, top_k)`, best first, equal scores in their order, and
            how many vectors were scored in float32, over all queries; None if there is more to find than this function
            is good at, or a score could leave the range of float32.

        Raises:
            MemoryError: if there is not enough memory.
        """
        documents = len(offsets) - 1
        if top_k > MOST_HITS or top_k > documents:
            return None
        queries = np.ascontiguousarray(queries, dtype="float32")
        offsets = np.ascontiguousarray(offsets)
        mask = None if allowed is None else np.ascontiguousarray(allowed, dtype=bool)
        vectors = _Vectors(
            self._values.ctypes.data if self._is_float else None,
            *(array.ctypes.data for array in (self._bytes, self._scales, self._errors, self._lengths, self._sums)),
            None if self._added is None else self._added.ctypes.data,
            None if documents == num_vectors else offsets.ctypes.data,
            *(num_vectors, documents, self.dim),
        )
        places = np.empty((len(queries), top_k), dtype=np.int64)
        scores = np.empty((len(queries), top_k), dtype="float32")
        rescored = ctypes.c_int64()
        error = _load().tfchain_search(
            *(ctypes.byref(vectors), queries.ctypes.data, len(queries), self._longest, self._most_added),
            *(None if mask is None else mask.ctypes.data, top_k, self._count_threads(num_vectors)),
            *(places.ctypes.data, scores.ctypes.data, ctypes.byref(rescored)),
        )
        if error == OUT_OF_RANGE:
            return None
        if error != DONE:
            raise MemoryError(f"not enough memory to search {num_vectors} vectors")
        return places, scores, rescored.value

    def _count_threads(self, num_vectors: int) -> int:
        return 1 if num_vectors * self.dim < BYTES_ALONE else count_cores()


def is_suitable(values: np.ndarray, scales: np.ndarray | None = None) -> bool:
    """Returns whether the kernels can search vectors here; the arguments are those of `VectorCopies`."""
    if find_obstacle() is not None or not values.flags.c_contiguous or not 0 < values.shape[1] <= MOST_DIM:
        return False
    if scales is None:
        return values.dtype == np.float32
    return values.dtype == np.int8 and scales.dtype == np.float32 and scales.flags.c_contiguous


@functools.cache
def _load() -> Any:
    library = load_library()
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.tfchain_copy_vectors.argtypes = [pointer, number, number, *[pointer] * 5]
    library.tfchain_copy_vectors.restype = None
    library.tfchain_search.argtypes = [
        *(pointer, pointer, number, ctypes.c_float, ctypes.c_float, pointer, number, number, pointer, pointer, pointer)
    ]
    return library
