"""The one door to the project's own kernels: a transformer encoder in int8, for processors with AVX-512 VNNI.

The library is compiled from `kernels/` where tfchain is installed, with GCC on x86-64 Linux. Where it is not
there, or the processor cannot run it, `find_obstacle` says so, and LiteRT computes.
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

PANEL = 32  # what the kernels compute together; widths are filled up to it with zeros
MOST_THREADS = 16
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
LIBRARY = "_kernels"
NO_MEMORY = "not enough for the encoder's weights in int8"
VERSION = 1  # that of the functions in the library, as in kernels/encoder.c


@dataclass(frozen=True)
class Product:
    """A matrix product's weights in 8 bits: value = byte · scale of its output.

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
    """One transformer layer.

    Args:
        heads: Attention heads.
        head_dim: Width of a head.
        query_key_value: Outputs in the order `(heads, [query, key, value], head_dim)`.
        attention_output: Inputs in the order `(heads, head_dim)`.
        intermediate: The feed-forward layer's first product, before the activation.
        output: Its second.
        norms: γ and β behind attention, γ and β behind the output: float32 `(4, dim)`.
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
    """A whole encoder's.

    Args:
        tokens: int8 `(vocabulary, token_dim)`, the token embedding.
        token_scales: float32 `(vocabulary,)`.
        fixed: What is added to the token at each position: float32 `(positions, dim)`.
        projection: From `token_dim` to `dim`; None where they are one.
        norm: γ and β behind the embeddings: float32 `(2, dim)`.
        layers: The layers, from below.
        activation: One of ACTIVATIONS.
        epsilon: Of the normalisations.
        relative: What is added to attention scores by the distance key - query, from -(positions - 1) on:
            float32 `(heads, 2 · positions - 1)`; None where there is none.
        normalizes: Whether vectors get length one.
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
    """Runs an encoder. Any number of threads may call it: one has the helpers, the others work alone meanwhile.

    Args:
        weights: The encoder's.

    Raises:
        TfchainError: if `find_obstacle` names one.
        MemoryError: if there is not enough memory.
    """

    def __init__(self, weights: Weights) -> None:
        obstacle = find_obstacle()
        if obstacle is not None:
            raise TfchainError(f"The compiled kernels cannot run here: {obstacle}. Use engine='litert'.")
        self.dim = weights.fixed.shape[1]
        self.positions = len(weights.fixed)
        library = _load()
        self._encode = library.tfchain_encode
        self._model = _make(library, weights)
        # Not at the end of the process, where threads that nobody waits for may compute still.
        weakref.finalize(self, library.tfchain_free, self._model).atexit = False

    def __call__(
        self, token_ids: np.ndarray, starts: np.ndarray, pooling: np.ndarray, *, num_threads: int = 1
    ) -> np.ndarray:
        """Vectors of texts.

        Args:
            token_ids: int32 `(tokens,)`, those of all texts one behind the other, without padding.
            starts: int32 `(texts + 1,)`: where each text begins, and the end. No text is empty.
            pooling: float32 `(poolings, tokens)`: each token's part in its text's vector, once for each pooling.
            num_threads: How many threads work on it, 16 at most. Default: 1.

        Returns:
            float32 `(texts, poolings · dim)`: what the poolings give side by side.

        Raises:
            InputError: if a text is empty or too long, or a token id is not in the vocabulary.
            ValueError: if the arrays do not go together.
            MemoryError: if there is not enough memory.
        """
        token_ids, starts = np.ascontiguousarray(token_ids, "int32"), np.ascontiguousarray(starts, "int32")
        pooling = np.ascontiguousarray(pooling, "float32")
        if not starts.size or starts[0] or starts[-1] != len(token_ids) or pooling.shape[1:] != token_ids.shape:
            raise ValueError(
                "`starts` must begin with 0 and end with the number of tokens, and `pooling` have a column a token. "
                f"Received: starts={starts}, {token_ids.shape} token ids, pooling of shape {pooling.shape}."
            )
        texts = len(starts) - 1
        vectors = np.empty((texts, len(pooling) * self.dim), dtype="float32")
        error = self._encode(
            *(self._model, token_ids.ctypes.data, starts.ctypes.data, texts),
            *(pooling.ctypes.data, len(pooling), num_threads, vectors.ctypes.data),
        )
        if error:
            raise _explain(error, token_ids, starts, self.positions)
        return vectors


@functools.cache
def find_obstacle() -> str | None:
    """Why the kernels do not run in this process; None if they do."""
    path = _find_library()
    if path is None:
        return "tfchain was installed without them, as they could not be compiled (by GCC, for x86-64 Linux)"
    try:
        library = _load()
    except (OSError, AttributeError) as error:
        return f"{path.name} does not load ({error})"
    if library.tfchain_version() != VERSION:
        return f"{path.name} is of another version of tfchain; install it again"
    return None if library.tfchain_supported() else "the processor has no AVX-512 VNNI, or the system is not Linux"


def pad_width(width: int) -> int:
    """The next multiple of PANEL."""
    return -(-width // PANEL) * PANEL


def _find_library() -> Path | None:
    folder = Path(__file__).parent
    paths = (folder / f"{LIBRARY}{suffix}" for suffix in machinery.EXTENSION_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


@functools.cache
def _load() -> Any:
    library = ctypes.CDLL(str(_find_library()))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    if library.tfchain_version() != VERSION or not library.tfchain_supported():
        return library  # there may be nothing else in it
    library.tfchain_new.argtypes = [pointer, ctypes.c_float, *[pointer] * 5]
    library.tfchain_new.restype = pointer
    library.tfchain_set_product.argtypes = [pointer, number, ctypes.c_int, *[pointer] * 3, number, number]
    library.tfchain_set_layer.argtypes = [pointer, *[number] * 3, pointer]
    library.tfchain_encode.argtypes = [*[pointer] * 3, number, pointer, number, number, pointer]
    library.tfchain_free.argtypes = [pointer]
    library.tfchain_free.restype = None
    return library


def _make(library: Any, weights: Weights) -> int:
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
        _fill(weights.tokens, "int8", len(weights.tokens), token_dim),
        _fill(weights.token_scales, "float32", len(weights.tokens)),
        _fill(weights.fixed, "float32", len(weights.fixed), dim),
        _fill(weights.norm, "float32", 2, dim),
    ]
    model = library.tfchain_new(
        *(shape.ctypes.data, weights.epsilon, *(array.ctypes.data for array in arrays)),
        None if relative is None else relative.ctypes.data,
    )
    if not model:
        raise MemoryError(NO_MEMORY)
    try:
        if weights.projection is not None:
            _put(library, model, 0, 0, weights.projection, dim, token_dim)
        for number, layer in enumerate(weights.layers):
            _put_layer(library, model, number, layer, dim)
    except BaseException:
        library.tfchain_free(model)
        raise
    return int(model)


def _put_layer(library: Any, model: int, number: int, layer: Layer, dim: int) -> None:
    inside, wide = layer.heads * pad_width(layer.head_dim), pad_width(len(layer.intermediate.bias))
    products = (
        (_spread_outputs(layer.query_key_value, 3 * layer.heads), 3 * inside, dim),
        (_spread_inputs(layer.attention_output, layer.heads), dim, inside),
        (layer.intermediate, wide, dim),
        (layer.output, dim, wide),
    )
    for which, (product, outputs, inputs) in enumerate(products, start=1):
        _put(library, model, number, which, product, outputs, inputs)
    norms = _fill(layer.norms, "float32", 4, dim)
    if not library.tfchain_set_layer(model, number, layer.heads, layer.head_dim, norms.ctypes.data):
        raise MemoryError(NO_MEMORY)


def _put(library: Any, model: int, layer: int, which: int, product: Product, outputs: int, inputs: int) -> None:
    filled = _fill(product.weights, "int8", outputs, inputs)
    rest = [_fill(array, "float32", outputs) for array in (product.scales, product.bias)]
    places = (array.ctypes.data for array in (filled, *rest))
    if not library.tfchain_set_product(model, layer, which, *places, outputs, inputs):
        raise MemoryError(NO_MEMORY)


def _count_bytes(weights: Weights) -> int:
    """What the library keeps: of all arrays, their widths filled up, and what each takes for its alignment."""
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


def _spread_outputs(product: Product, parts: int) -> Product:
    """Each of so many parts of the outputs filled up to a multiple of PANEL."""
    width = len(product.bias) // parts
    wide = pad_width(width)
    weights = _fill(product.weights.reshape(parts, width, -1), "int8", parts, wide, product.weights.shape[1])
    rest = [
        _fill(array.reshape(parts, width), "float32", parts, wide).reshape(-1)
        for array in (product.scales, product.bias)
    ]
    return Product(weights.reshape(parts * wide, -1), *rest)


def _spread_inputs(product: Product, parts: int) -> Product:
    outputs, inputs = product.weights.shape
    wide = pad_width(inputs // parts)
    weights = _fill(product.weights.reshape(outputs, parts, -1), "int8", outputs, parts, wide)
    return Product(weights.reshape(outputs, parts * wide), product.scales, product.bias)


def _fill(array: np.ndarray, dtype: str, *shape: int) -> np.ndarray:
    """The array in C's order with zeros behind each axis up to a shape."""
    filled = np.zeros(shape, dtype=dtype)
    filled[tuple(slice(0, length) for length in array.shape)] = array
    return filled


def _explain(error: int, token_ids: np.ndarray, starts: np.ndarray, positions: int) -> Exception:
    if error == 1:
        lengths = np.diff(starts)
        wrong = lengths[(lengths < 1) | (lengths > positions)][0]
        return InputError(f"A text must have 1 to {positions} tokens. Received: one of {wrong}. Cut it.")
    if error == 2:
        return InputError(
            "A token id must be one of the vocabulary's. "
            f"Received: ids from {token_ids.min()} to {token_ids.max()}. Does the tokenizer go with the model?"
        )
    return MemoryError(f"not enough for {len(token_ids)} tokens in one call")
