"""The weights of an encoder for the project's own kernels, and how they are handed to the library."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

PANEL = 32  # outputs that the kernels compute together; widths are padded to a multiple with zeros
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
NORM_PLACES = ("post", "pre", "both")
LAYER_NORMS = ("attention", "after_attention", "feed_forward", "after_feed_forward", "query", "key")
NO_MEMORY = "not enough memory for the encoder's weights in int8"


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
class LayerShape:
    """The shape of a transformer layer.

    Args:
        heads: Attention heads.
        head_dim: Width of a head.
        units: Width of the feed-forward network.
        queries_per_key: Heads that share a head of keys and values. Default: 1.
        window: The largest distance of two tokens that attend to each other. Default: None, for no limit.
        scale: The factor of attention scores. Default: 1/√head_dim.
    """

    heads: int
    head_dim: int
    units: int
    queries_per_key: int = 1
    window: int | None = None
    scale: float | None = None

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads // self.queries_per_key


@dataclass(frozen=True)
class Layer:
    """The weights of a transformer layer.

    Args:
        query_key_value: Outputs in the order `(key heads, [queries …, key, value], head_dim)`.
        attention_output: Inputs in the order `(heads, head_dim)`.
        intermediate: The feed-forward network's first product, before the activation; with gates, the gates' outputs
            come first.
        output: The feed-forward network's second product.
        norms: γ and β, float32 `(2, width)`, of those of LAYER_NORMS that the layer has. After the sums of the
            attention and of the feed-forward network in post-norm layers, before both in others.
    """

    query_key_value: Product
    attention_output: Product
    intermediate: Product
    output: Product
    norms: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Options:
    """What layers compute beside what BERT's do.

    Args:
        norm_place: As in `LayerConfig`. Default: `post`.
        takes_mean: Whether normalisations take away the mean; if not, they are by the root mean square. Default: True.
        is_causal: Whether a token attends only to itself and to tokens before it. Default: False.
        is_gated: Whether the feed-forward network has gates. Default: False.
        turns: The cosines, then the sines of each position, float32 `(positions, 2 · half)`, and the same for layers
            with a window. The first features of a head are turned, each of the first half with one of the second.
            Default: none.
    """

    norm_place: Literal["post", "pre", "both"] = "post"
    takes_mean: bool = True
    is_causal: bool = False
    is_gated: bool = False
    turns: tuple[np.ndarray | None, np.ndarray | None] = (None, None)


@dataclass(frozen=True)
class Weights:
    """The weights of an encoder.

    Args:
        tokens: The token embedding row by row in blocks, int8 `(rows, token_dim)` with the rows' scales, float32
            `(rows,)`; they are read once, one at a time, so that a generator holds one block in memory.
        token_shape: `(vocabulary, token_dim)`.
        fixed: What is added to a token by type and position, float32 `(token_types · positions, dim)`, type by type; or
            by type alone, `(token_types, dim)`.
        projection: The product from `token_dim` to `dim`; None if they are equal.
        norm: γ and β after the embeddings, float32 `(2, dim)`; None if there is no such normalisation.
        shapes: The shape of each layer.
        layers: The layers in the order of computation; they are read once, one at a time, so that a generator holds
            one layer in memory.
        activation: One of ACTIVATIONS.
        epsilon: The epsilon of the normalisations.
        positions: The most tokens of a text.
        relative: The bias on attention scores by the distance key - query, beginning with -(positions - 1), float32
            `(heads, 2 · positions - 1)`; None if there is no such bias.
        normalizes: Whether vectors are scaled to length one.
        token_types: How many token types the ids tell apart: a token of type t has the id `t * vocabulary + id`.
            Default: 1.
        final_norm: γ and β after the last layer, float32 `(2, dim)`. Default: none.
        options: What layers compute. Default: what BERT's do.
    """

    tokens: Iterable[tuple[np.ndarray, np.ndarray]]
    token_shape: tuple[int, int]
    fixed: np.ndarray
    projection: Product | None
    norm: np.ndarray | None
    shapes: Sequence[LayerShape]
    layers: Iterable[Layer]
    activation: str
    epsilon: float
    positions: int
    relative: np.ndarray | None
    normalizes: bool
    token_types: int = 1
    final_norm: np.ndarray | None = None
    options: Options = field(default_factory=Options)


def pad_width(width: int) -> int:
    """Returns a width rounded up to a multiple of PANEL."""
    return -(-width // PANEL) * PANEL


def make_model(library: Any, weights: Weights) -> int:
    """Copies weights into the library, and returns its pointer; `tfchain_free` frees it.

    Args:
        library: The library.
        weights: The weights.

    Raises:
        MemoryError: if there is not enough memory.
    """
    model = _make_empty(library, weights)
    try:
        dim = pad_width(weights.fixed.shape[1])
        _set_tokens(library, model, weights)
        if weights.projection is not None:
            _set_product(library, model, 0, 0, weights.projection, dim, pad_width(weights.token_shape[1]))
        for which, norm in enumerate((weights.norm, weights.final_norm)):
            if norm is not None:
                _set_norm(library, model, 0, which, norm)
        for is_local, turns in enumerate(weights.options.turns):
            if turns is not None:
                whole = np.ascontiguousarray(turns, dtype="float32")
                _check(library.tfchain_set_turns(model, is_local, whole.ctypes.data))
        layers = iter(weights.layers)
        for number, shape in enumerate(weights.shapes):
            layer = next(layers, None)
            if layer is None:
                raise ValueError(
                    f"`layers` must have a layer for each of {len(weights.shapes)} shapes. Received: {number}."
                )
            _set_layer(library, model, number, shape, layer, dim, weights.options.is_gated)
            del layer  # so that it is not in memory beside the next
        if next(layers, None) is not None:
            raise ValueError(f"`layers` must have a layer for each of {len(weights.shapes)} shapes. Received: more.")
    except BaseException:
        library.tfchain_free(model)
        raise
    return model


def _make_empty(library: Any, weights: Weights) -> int:
    dim, token_dim, options = pad_width(weights.fixed.shape[1]), pad_width(weights.token_shape[1]), weights.options
    relative = None if weights.relative is None else np.ascontiguousarray(weights.relative, dtype="float32")
    turns = next((turns for turns in options.turns if turns is not None), np.zeros((0, 0)))
    shape = np.array(
        [
            *(weights.fixed.shape[1], dim, token_dim, weights.token_shape[0], weights.positions, len(weights.shapes)),
            *(ACTIVATIONS.index(weights.activation), weights.normalizes, 0 if relative is None else len(relative)),
            *(_count_bytes(weights), weights.token_types, len(weights.fixed) // weights.token_types),
            *(turns.shape[1] // 2, NORM_PLACES.index(options.norm_place), options.takes_mean, options.is_causal),
            options.is_gated,
        ],
        dtype="int64",
    )
    fixed = _pad(weights.fixed, "float32", len(weights.fixed), dim)
    model = library.tfchain_new(
        *(shape.ctypes.data, weights.epsilon, fixed.ctypes.data), None if relative is None else relative.ctypes.data
    )
    _check(model)
    return int(model)


def _set_tokens(library: Any, model: int, weights: Weights) -> None:
    vocabulary, token_dim = weights.token_shape
    first = 0
    for numbers, scales in weights.tokens:
        count = len(numbers)
        if first + count > vocabulary or numbers.shape[1] != token_dim or scales.shape != (count,):
            raise ValueError(
                f"`tokens` must have {vocabulary} rows of {token_dim} numbers, each with a scale. Received: from row "
                f"{first} on numbers of shape {numbers.shape} and scales of shape {scales.shape}."
            )
        padded = _pad(numbers, "int8", count, pad_width(token_dim))
        factors = np.ascontiguousarray(scales, dtype="float32")
        library.tfchain_set_tokens(model, first, count, padded.ctypes.data, factors.ctypes.data)
        first += count
    if first != vocabulary:
        raise ValueError(f"`tokens` must have {vocabulary} rows. Received: {first}.")


def _set_layer(
    library: Any, model: int, number: int, shape: LayerShape, layer: Layer, dim: int, is_gated: bool
) -> None:
    width, parts = pad_width(shape.head_dim), shape.heads + 2 * shape.key_heads
    inside, wide, gates = shape.heads * width, pad_width(shape.units), 1 + is_gated
    products = (
        (_pad_outputs(layer.query_key_value, parts), parts * width, dim),
        (_pad_inputs(layer.attention_output, shape.heads), dim, inside),
        (_pad_outputs(layer.intermediate, gates), gates * wide, dim),
        (layer.output, dim, wide),
    )
    for which, (product, outputs, inputs) in enumerate(products, start=1):
        _set_product(library, model, number, which, product, outputs, inputs)
    for name, norm in layer.norms.items():
        _set_norm(library, model, number, 2 + LAYER_NORMS.index(name), norm)
    numbers = np.array(
        [shape.key_heads, shape.queries_per_key, shape.head_dim, -1 if shape.window is None else shape.window],
        dtype="int64",
    )
    library.tfchain_set_layer(model, number, numbers.ctypes.data, shape.scale or shape.head_dim**-0.5)


def _set_product(library: Any, model: int, layer: int, which: int, product: Product, outputs: int, inputs: int) -> None:
    padded = _pad(product.weights, "int8", outputs, inputs)
    rest = [_pad(array, "float32", outputs) for array in (product.scales, product.bias)]
    pointers = (array.ctypes.data for array in (padded, *rest))
    _check(library.tfchain_set_product(model, layer, which, *pointers, outputs, inputs))


def _set_norm(library: Any, model: int, layer: int, which: int, norm: np.ndarray) -> None:
    width = pad_width(norm.shape[1])
    padded = _pad(norm, "float32", 2, width)
    _check(library.tfchain_set_norm(model, layer, which, padded.ctypes.data, width))


def _check(done: Any) -> None:
    if not done:
        raise MemoryError(NO_MEMORY)


def _count_bytes(weights: Weights) -> int:
    """Returns the library's memory in bytes: all arrays, padded, and at most 128 bytes each for alignment."""
    dim, token_dim = pad_width(weights.fixed.shape[1]), pad_width(weights.token_shape[1])
    aligned, gates = 128, 1 + weights.options.is_gated

    def count(outputs: int, inputs: int) -> int:
        return outputs * inputs + 12 * outputs + 4 * aligned

    total = weights.token_shape[0] * (token_dim + 4) + 4 * (len(weights.fixed) + 4) * dim + 10 * aligned
    total += 0 if weights.projection is None else count(dim, token_dim)
    total += 0 if weights.relative is None else 4 * weights.relative.size
    total += sum(4 * turns.size for turns in weights.options.turns if turns is not None)
    for shape in weights.shapes:
        width, wide = pad_width(shape.head_dim), pad_width(shape.units)
        inside = shape.heads * width
        total += count(inside + 2 * shape.key_heads * width, dim) + count(dim, inside)
        total += count(gates * wide, dim) + count(dim, wide)
        total += 2 * (4 * (4 * dim + 2 * width) + 6 * aligned)
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
    """Returns an array padded with zeros at the end of each axis to a shape; itself if nothing is missing."""
    if array.shape == shape and array.dtype == dtype and array.flags.c_contiguous:
        return array
    padded = np.zeros(shape, dtype=dtype)
    padded[tuple(slice(0, length) for length in array.shape)] = array
    return padded
