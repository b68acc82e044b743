"""The one door to the project's own kernels: a transformer encoder in int8, for processors with AVX-512 VNNI.

The library is compiled from `engines/kernels/` when tfchain is installed, by GCC on x86-64 Linux. If it is missing, or
the processor cannot run it, `find_obstacle` says so, and LiteRT is used.
"""

import ctypes
import functools
import weakref
from importlib import machinery
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.models.native_weights import Weights, make_model

MOST_THREADS = 16
MOST_BEST = 64  # for more, NumPy may be faster
LIBRARY = "_kernels"
VERSION = 7  # of the library's functions; the same number is in kernels/encoder.c


class NativeModel:
    """Runs an encoder. Any number of threads may call it: one call has the helpers, and the others run without.

    Args:
        weights: The encoder's weights.

    Raises:
        TfchainError: if `find_obstacle` returns an obstacle.
        MemoryError: if there is not enough memory.
    """

    def __init__(self, weights: Weights) -> None:
        obstacle = find_obstacle()
        if obstacle is not None:
            raise TfchainError(f"The compiled kernels cannot run here: {obstacle}. Use engine='litert'.")
        self.dim = weights.fixed.shape[1]
        self.positions = weights.positions
        library = load_library()
        self._encode = library.tfchain_encode
        self._model = make_model(library, weights)
        # Not at the end of the process, when daemon threads may still be computing.
        weakref.finalize(self, library.tfchain_free, self._model).atexit = False

    def __call__(
        self, token_ids: np.ndarray, starts: np.ndarray, pooling: np.ndarray, *, num_threads: int = 1
    ) -> np.ndarray:
        """Computes the vectors of texts.

        Args:
            token_ids: The ids of all texts in a row, without padding, int32 `(tokens,)`.
            starts: The start of each text, and the end, int32 `(texts + 1,)`. No text is empty.
            pooling: Each token's weight in its text's vector for each pooling, float32 `(poolings, tokens)`.
            num_threads: The number of threads, at most 16. Default: 1.

        Returns:
            float32 `(texts, poolings · dim)`: the results of the poolings, concatenated.

        Raises:
            InputError: if a text is empty or too long, or a token id is not in the vocabulary.
            ValueError: if the shapes of the arrays do not match.
            MemoryError: if there is not enough memory.
        """
        token_ids, starts = np.ascontiguousarray(token_ids, "int32"), np.ascontiguousarray(starts, "int32")
        pooling = np.ascontiguousarray(pooling, "float32")
        if not starts.size or starts[0] or starts[-1] != len(token_ids) or pooling.shape[1:] != token_ids.shape:
            raise ValueError(
                "`starts` must begin with 0 and end with the number of tokens, and `pooling` have a column per token. "
                f"Received: starts={starts}, {token_ids.shape} token ids, pooling of shape {pooling.shape}."
            )
        texts = len(starts) - 1
        vectors = np.empty((texts, len(pooling) * self.dim), dtype="float32")
        error = self._encode(
            *(self._model, token_ids.ctypes.data, starts.ctypes.data, texts),
            *(pooling.ctypes.data, len(pooling), num_threads, vectors.ctypes.data),
        )
        if error:
            raise _make_error(error, token_ids, starts, self.positions)
        return vectors


def find_best(scores: np.ndarray, top_k: int) -> np.ndarray | None:
    """Returns the rows of the largest scores, largest first, and equal ones in their order.

    For a few of many it is several times as fast as NumPy, and Python's lock is not let go meanwhile.

    Args:
        scores: float32 `(documents,)`.
        top_k: The number of rows, at least 1.

    Returns:
        int64 `(top_k,)`; None where this function cannot run, or there are not as many numbers.
    """
    best = _load_best()
    if best is None or top_k > MOST_BEST or scores.dtype != np.float32 or not scores.flags.c_contiguous:
        return None
    rows = np.empty(top_k, dtype=np.int64)
    return rows if best(scores.ctypes.data, len(scores), top_k, rows.ctypes.data) == top_k else None


@functools.cache
def find_obstacle() -> str | None:
    """Returns why the kernels cannot run in this process; None if they can."""
    path = _find_library()
    if path is None:
        return "tfchain was installed without them, because they could not be compiled (by GCC, for x86-64 Linux)"
    try:
        library = load_library()
    except (OSError, AttributeError) as error:
        return f"{path.name} cannot be loaded ({error})"
    if library.tfchain_version() != VERSION:
        return f"{path.name} belongs to another version of tfchain; install it again"
    return None if library.tfchain_supported() else "the processor has no AVX-512 VNNI, or the system is not Linux"


def _find_library() -> Path | None:
    folder = Path(__file__).parent / "engines"
    paths = (folder / f"{LIBRARY}{suffix}" for suffix in machinery.EXTENSION_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


@functools.cache
def _load_best() -> Any:
    """Returns the library's function; None if the library is missing, or another version's."""
    if find_obstacle() is not None:
        return None
    best = ctypes.PyDLL(str(_find_library())).tfchain_best
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    best.argtypes, best.restype = [pointer, number, number, pointer], number
    return best


@functools.cache
def load_library() -> Any:
    """Returns the library; unless `find_obstacle` returns None, it may have no functions but the first two."""
    library = ctypes.CDLL(str(_find_library()))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    if library.tfchain_version() != VERSION or not library.tfchain_supported():
        return library  # it may have no other functions
    library.tfchain_new.argtypes = [pointer, ctypes.c_float, *[pointer] * 2]
    library.tfchain_new.restype = pointer
    library.tfchain_set_tokens.argtypes = [pointer, number, number, *[pointer] * 2]
    library.tfchain_set_tokens.restype = None
    library.tfchain_set_product.argtypes = [pointer, number, ctypes.c_int, *[pointer] * 3, number, number]
    library.tfchain_set_norm.argtypes = [pointer, number, ctypes.c_int, pointer, number]
    library.tfchain_set_turns.argtypes = [pointer, ctypes.c_int, pointer]
    library.tfchain_set_layer.argtypes = [pointer, number, pointer, ctypes.c_float]
    library.tfchain_set_layer.restype = None
    library.tfchain_encode.argtypes = [*[pointer] * 3, number, pointer, number, number, pointer]
    library.tfchain_free.argtypes = [pointer]
    library.tfchain_free.restype = None
    return library


def _make_error(error: int, token_ids: np.ndarray, starts: np.ndarray, positions: int) -> Exception:
    if error == 1:
        lengths = np.diff(starts)
        wrong = lengths[(lengths < 1) | (lengths > positions)][0]
        return InputError(f"A text must have 1 to {positions} tokens. Received: {wrong} tokens. Truncate it.")
    if error == 2:
        return InputError(
            "Token ids must be in the vocabulary. "
            f"Received: ids from {token_ids.min()} to {token_ids.max()}. Use the model's own tokenizer."
        )
    return MemoryError(f"not enough memory for {len(token_ids)} tokens in one call")
