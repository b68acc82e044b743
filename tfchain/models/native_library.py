"""The one door to the project's own kernels: a transformer encoder in int8, for processors with AVX-512 VNNI.

The library is compiled from `engines/kernels/` when tfchain is installed, by GCC on x86-64 Linux. If it is missing, or
the processor cannot run it, `find_obstacle` says so, and LiteRT is used.
"""

import ctypes
import functools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import machinery
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError

PANEL = 32  # outputs that the kernels compute together; widths are padded to a multiple with zeros
MOST_THREADS = 16
MOST_BEST = 64  # for more, NumPy may be faster
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
LIBRARY = "_kernels"
NO_MEMORY = "not enough memory for the encoder's weights in int8"
VERSION = 3  # of the library's functions; the same number is in kernels/encoder.c


@dataclass(frozen=True)
class Product:
    """The weights of a matrix product in 8 bits: value = byte · scale of the output.

    Args:
        weights: int8 `(outputs, inputs)`, from -127 to 127.
        scales: float32 `(outputs,)`.
        bias: float32 `(outputs,)`.
    """

    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A transformer layer.

    Args:
        heads: Attention heads.
        head_dim: Width of a head.
        query_key_value: Outputs in the order `(heads, [query, key, value], head_dim)`.
        attention_output: Inputs in the order `(heads, head_dim)`.
        intermediate: The feed-forward layer's first product, before the activation.
        output: The feed-forward layer's second product.
        norms: γ and β after attention, γ and β after the output, float32 `(4, dim)`.
    """

    heads: int
    head_dim: int
    query_key_value: Product
    attention_output: Product
    intermediate: Product
    output: Product
    norms: np.ndarray


@dataclass(frozen=True)
class Weights:
    """The weights of an encoder.

    Args:
        tokens: The token embedding, int8 `(vocabulary, token_dim)`.
        token_scales: The scale of each token, float32 `(vocabulary,)`.
        fixed: The sum of position and token type embeddings, float32 `(positions, dim)`.
        projection: The product from `token_dim` to `dim`; None if they are equal.
        norm: γ and β after the embeddings, float32 `(2, dim)`.
        layers: The layers, in the order of computation.
        activation: One of ACTIVATIONS.
        epsilon: The epsilon of the normalisations.
        relative: The bias on attention scores by the distance key - query, beginning with -(positions - 1), float32
            `(heads, 2 · positions - 1)`; None if there is no such bias.
        normalizes: Whether vectors are scaled to length one.
    """

    tokens: np.ndarray
    token_scales: np.ndarray
    fixed: np.ndarray
    projection: Product | None
    norm: np.ndarray
    layers: Sequence[Layer]
    activation: str
    epsilon: float
    relative: np.ndarray | None
    normalizes: bool


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
        self.positions = len(weights.fixed)
        library = load_library()
        self._encode = library.tfchain_encode
        self._model = _make_model(library, weights)
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


def pad_width(width: int) -> int:
    """Returns a width rounded up to a multiple of PANEL."""
    return -(-width // PANEL) * PANEL


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
    library.tfchain_new.argtypes = [pointer, ctypes.c_float, *[pointer] * 5]
    library.tfchain_new.restype = pointer
    library.tfchain_set_product.argtypes = [pointer, number, ctypes.c_int, *[pointer] * 3, number, number]
    library.tfchain_set_layer.argtypes = [pointer, *[number] * 3, pointer]
    library.tfchain_encode.argtypes = [*[pointer] * 3, number, pointer, number, number, pointer]
    library.tfchain_free.argtypes = [pointer]
    library.tfchain_free.restype = None
    return library


def _make_model(library: Any, weights: Weights) -> int:
    dim, token_dim = pad_width(weights.fixed.shape[1]), pad_width(weights.tokens.shape[1])
    relative = None if weights.relative is None else np.ascontiguousarray(weights.relative, dtype="float32")
    heads = 0 if relative is None else len(relative)
    shape = np.array(
        [
            *(weights.fixed.shape[1], dim, token_dim, len(weights.tokens), len(weights.fixed), len(weights.layers)),
            *(ACTIVATIONS.index(weights.activation), weights.normalizes, heads, _count_bytes(weights)),
        ],
        dtype="int64",
    )
    arrays = [
        _pad(weights.tokens, "int8", len(weights.tokens), token_dim),
        _pad(weights.token_scales, "float32", len(weights.tokens)),
        _pad(weights.fixed, "float32", len(weights.fixed), dim),
        _pad(weights.norm, "float32", 2, dim),
    ]
    model = library.tfchain_new(
        *(shape.ctypes.data, weights.epsilon, *(array.ctypes.data for array in arrays)),
        None if relative is None else relative.ctypes.data,
    )
    if not model:
        raise MemoryError(NO_MEMORY)
    try:
        if weights.projection is not None:
            _set_product(library, model, 0, 0, weights.projection, dim, token_dim)
        for number, layer in enumerate(weights.layers):
            _set_layer(library, model, number, layer, dim)
    except BaseException:
        library.tfchain_free(model)
        raise
    return int(model)


def _set_layer(library: Any, model: int, number: int, layer: Layer, dim: int) -> None:
    inside, wide = layer.heads * pad_width(layer.head_dim), pad_width(len(layer.intermediate.bias))
    products = (
        (_pad_outputs(layer.query_key_value, 3 * layer.heads), 3 * inside, dim),
        (_pad_inputs(layer.attention_output, layer.heads), dim, inside),
        (layer.intermediate, wide, dim),
        (layer.output, dim, wide),
    )
    for which, (product, outputs, inputs) in enumerate(products, start=1):
        _set_product(library, model, number, which, product, outputs, inputs)
    norms = _pad(layer.norms, "float32", 4, dim)
    if not library.tfchain_set_layer(model, number, layer.heads, layer.head_dim, norms.ctypes.data):
        raise MemoryError(NO_MEMORY)


def _set_product(library: Any, model: int, layer: int, which: int, product: Product, outputs: int, inputs: int) -> None:
    padded = _pad(product.weights, "int8", outputs, inputs)
    rest = [_pad(array, "float32", outputs) for array in (product.scales, product.bias)]
    pointers = (array.ctypes.data for array in (padded, *rest))
    if not library.tfchain_set_product(model, layer, which, *pointers, outputs, inputs):
        raise MemoryError(NO_MEMORY)


def _count_bytes(weights: Weights) -> int:
    """Returns the library's memory in bytes: all arrays, padded, and at most 128 bytes each for alignment."""
    dim, token_dim = pad_width(weights.fixed.shape[1]), pad_width(weights.tokens.shape[1])
    aligned = 128

    def count(outputs: int, inputs: int) -> int:
        return outputs * inputs + 12 * outputs + 4 * aligned

    total = len(weights.tokens) * (token_dim + 4) + 4 * (len(weights.fixed) + 2) * dim + 6 * aligned
    total += 0 if weights.projection is None else count(dim, token_dim)
    total += 0 if weights.relative is None else 4 * weights.relative.size
    for layer in weights.layers:
        inside, wide = layer.heads * pad_width(layer.head_dim), pad_width(len(layer.intermediate.bias))
        total += count(3 * inside, dim) + count(dim, inside) + count(wide, dim) + count(dim, wide)
        total += 4 * (4 * dim + aligned)
    return total


def _pad_outputs(product: Product, parts: int) -> Product:
    """Pads each part of the outputs to a multiple of PANEL."""
    width = len(product.bias) // parts
    wide = pad_width(width)
    weights = _pad(product.weights.reshape(parts, width, -1), "int8", parts, wide, product.weights.shape[1])
    rest = [
        _pad(array.reshape(parts, width), "float32", parts, wide).reshape(-1)
        for array in (product.scales, product.bias)
    ]
    return Product(weights.reshape(parts * wide, -1), *rest)


def _pad_inputs(product: Product, parts: int) -> Product:
    """Pads each part of the inputs to a multiple of PANEL."""
    outputs, inputs = product.weights.shape
    wide = pad_width(inputs // parts)
    weights = _pad(product.weights.reshape(outputs, parts, -1), "int8", outputs, parts, wide)
    return Product(weights.reshape(outputs, parts * wide), product.scales, product.bias)


def _pad(array: np.ndarray, dtype: str, *shape: int) -> np.ndarray:
    """Returns a C-ordered copy of an array, padded with zeros at the end of each axis to a shape."""
    padded = np.zeros(shape, dtype=dtype)
    padded[tuple(slice(0, length) for length in array.shape)] = array
    return padded


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
