"""Weights for the project's own int8 kernels: quantized from an encoder's float32 weights, or read from a file."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import find_block, list_transformer_shapes, name_layer
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.encoders.relative_positions import find_rows
from tfchain.models.encoders.rotary import make_slopes, make_turns
from tfchain.models.native_weights import Layer, LayerShape, Options, Product, Weights
from tfchain.models.weights.folded_tensors import iterate_blocks
from tfchain.models.weights.stored_encoder import ROWS_AT_A_TIME, StoredEncoder
from tfchain.models.weights.stored_weights import quantize_rows
from tfchain.models.weights.tensor_files import TensorFile, write_tensors

# The path of a product in a layer → its name in `Layer` and in the file
PRODUCTS = {
    "attention/query_key_value": "query_key_value",
    "attention/output": "attention_output",
    "intermediate": "intermediate",
    "output": "output",
}
# The path of a normalisation in a layer → its name in `Layer.norms`
NORMS = {
    "attention_norm": "attention",
    "after_attention_norm": "after_attention",
    "output_norm": "feed_forward",
    "feed_forward_norm": "feed_forward",
    "after_feed_forward_norm": "after_feed_forward",
}
HEAD_NORMS = {"attention/query_norm": "query", "attention/key_norm": "key"}
PRODUCT_PARTS = ("weights", "scales", "bias")


class NotFiniteError(ValueError):
    """A weight is NaN or infinite, and cannot be quantized."""


def make_kernel_weights(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> Weights:
    """Quantizes an encoder's weights: matrices in 8 bits, the rest in float32.

    Args:
        config: The encoder's shape.
        weights: Path → float32 array, with the paths of `list_shapes`. The token embedding is read when the result's
            `tokens` are, some rows at a time, and the layers' weights when its `layers` are, one layer at a time.

    Raises:
        NotFiniteError: if a weight is not finite; of a token or a layer, when it is read.
    """
    shape = config.transformer
    layer = find_block(shape).find_layer_config(shape)
    is_narrow = shape.token_embedding_dim not in (None, shape.hidden_dim)
    projection = _quantize(weights, "embeddings/projection", layer.embedding_scale) if is_narrow else None
    fixed = np.zeros((1, shape.hidden_dim), dtype="float32")
    if "embeddings/position/embeddings" in weights:
        fixed = _read_finite(weights, "embeddings/position/embeddings")[shape.position_offset :]
    if shape.num_token_types:
        types = _read_finite(weights, "embeddings/token_type/embeddings")[: shape.given_token_types]
        fixed = np.concatenate([fixed + row for row in types])
    relative = _make_slopes(shape, layer)
    if shape.relative_attention_buckets:
        last = shape.max_length - 1
        rows = find_rows(shape.relative_attention_buckets, np.arange(-last, last + 1))
        relative = _read_finite(weights, "relative_position_bias/embeddings")[rows].T  # (heads, 2 * positions - 1)
        if len(relative) == 1:  # one bias for all heads
            relative = np.repeat(relative, max(shape.layer_heads), axis=0)
    return Weights(
        tokens=_quantize_tokens(weights, 1.0 if is_narrow else layer.embedding_scale),
        token_shape=(shape.vocabulary_size, shape.token_embedding_dim or shape.hidden_dim),
        fixed=fixed,
        projection=projection,
        norm=_read_norm(weights, "embeddings/norm", layer) if layer.embedding_norm else None,
        shapes=_list_layer_shapes(shape, layer),
        layers=_share(shape, lambda number: _make_layer(shape, layer, weights, number)),
        activation=shape.activation,
        epsilon=shape.norm_epsilon,
        positions=shape.max_length,
        relative=relative,
        normalizes=config.module_order == ("normalize",),
        token_types=shape.given_token_types,
        final_norm=_read_norm(weights, "final_norm", layer) if layer.final_norm else None,
        options=_make_options(shape, layer),
    )


def save_kernel_weights(path: Path, weights: Weights) -> None:
    """Writes a safetensors file that `load_kernel_weights` reads.

    Args:
        path: The file.
        weights: From `make_kernel_weights`; its tokens and layers are read.
    """
    numbers, scales = np.empty(weights.token_shape, dtype="int8"), np.empty(weights.token_shape[0], dtype="float32")
    row = 0
    for block, factors in weights.tokens:
        numbers[row : row + len(block)], scales[row : row + len(block)] = block, factors
        row += len(block)
    tensors = {"tokens": numbers, "token_scales": scales, "fixed": weights.fixed}
    optional = {"norm": weights.norm, "final_norm": weights.final_norm, "relative": weights.relative}
    tensors |= {name: array for name, array in optional.items() if array is not None}
    products = {} if weights.projection is None else {"projection": weights.projection}
    number, before = -1, None
    for layer in weights.layers:
        if layer is before:  # it shares the weights of the layer before it
            continue
        number, before = number + 1, layer
        for name, known in (("norms", NORMS), ("head_norms", HEAD_NORMS)):
            found = [norm for place, norm in layer.norms.items() if place in known.values()]
            tensors |= {f"{name_layer(number)}.{name}": np.concatenate(found)} if found else {}
        products |= {f"{name_layer(number)}.{name}": getattr(layer, name) for name in PRODUCTS.values()}
    for name, product in products.items():
        tensors |= {f"{name}.{part}": getattr(product, part) for part in PRODUCT_PARTS}
    write_tensors(path, tensors)


def load_kernel_weights(file: TensorFile, config: EncoderConfig) -> Weights:
    """Reads a file that `save_kernel_weights` wrote.

    Args:
        file: The file.
        config: The encoder's shape.

    Raises:
        ModelFolderError: if the file is damaged, or belongs to another encoder; of a layer, when the layer is read.
    """
    shape, shapes = config.transformer, list_transformer_shapes(config.transformer)
    layer = find_block(shape).find_layer_config(shape)

    def check(name: str, dtype: str, *expected: int) -> None:
        found = (file.shape(name), file.dtype(name)) if name in file else None
        if found != (expected, dtype):
            raise ModelFolderError(
                f"{file.path} must hold {name} in {dtype} of the shape {expected}. "
                f"Received: {'none' if found is None else f'{found[1]} of {found[0]}'}. Save the chain again."
            )

    def read(name: str, dtype: str, *expected: int) -> np.ndarray:
        check(name, dtype, *expected)
        return file.read(name)

    def read_tokens() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        scales = read("token_scales", "float32", vocabulary)
        for start in range(0, vocabulary, ROWS_AT_A_TIME):
            rows = slice(start, min(start + ROWS_AT_A_TIME, vocabulary))
            yield file.read_rows("tokens", rows), scales[rows]

    def read_product(name: str, path: str) -> Product:
        inputs, outputs = shapes[f"{path}/kernel"]
        rest = (read(f"{name}.{part}", "float32", outputs) for part in ("scales", "bias"))
        return Product(read(f"{name}.weights", "int8", outputs, inputs), *rest)

    def read_norms(number: int, name: str, known: Mapping[str, str]) -> dict[str, np.ndarray]:
        names = _list_norms(shape, number, known)
        if not names:
            return {}
        width = dim if known is NORMS else shape.layer_head_dim(number)
        array = read(f"{name_layer(number)}.{name}", "float32", 2 * len(names), width)
        return dict(zip(names.values(), array.reshape(len(names), 2, width), strict=True))

    def read_layer(number: int) -> Layer:
        name = name_layer(number)
        products = {part: read_product(f"{name}.{part}", f"{name}/{path}") for path, part in PRODUCTS.items()}
        norms = read_norms(number, "norms", NORMS) | read_norms(number, "head_norms", HEAD_NORMS)
        return Layer(norms=norms, **products)

    dim, token_dim = shape.hidden_dim, shape.token_embedding_dim or shape.hidden_dim
    vocabulary, positions = shape.vocabulary_size, shape.max_length
    heads = max(shape.layer_heads) if shape.layer_heads[0] == 1 else shape.layer_heads[0]
    has_relative = layer.has_alibi or bool(shape.relative_attention_buckets)
    has_positions = "embeddings/position/embeddings" in shapes
    check("tokens", "int8", vocabulary, token_dim)
    return Weights(
        tokens=read_tokens(),
        token_shape=(vocabulary, token_dim),
        fixed=read("fixed", "float32", shape.given_token_types * (positions if has_positions else 1), dim),
        projection=read_product("projection", "embeddings/projection") if token_dim != dim else None,
        norm=read("norm", "float32", 2, dim) if layer.embedding_norm else None,
        shapes=_list_layer_shapes(shape, layer),
        layers=_share(shape, read_layer),
        activation=shape.activation,
        epsilon=shape.norm_epsilon,
        positions=positions,
        relative=read("relative", "float32", heads, 2 * positions - 1) if has_relative else None,
        normalizes=config.module_order == ("normalize",),
        token_types=shape.given_token_types,
        final_norm=read("final_norm", "float32", 2, dim) if layer.final_norm else None,
        options=_make_options(shape, layer),
    )


def _share(shape: TransformerConfig, make: Callable[[int], Layer]) -> Iterator[Layer]:
    """Yields the layers in the order of computation, one at a time: several in a row may have the same weights."""
    made: Layer | None = None
    before = -1
    for number in range(shape.num_layers):
        distinct = shape.find_distinct_layer(number)
        if made is None or before != distinct:
            made = None  # so that it is not in memory beside the next
            made, before = make(distinct), distinct
        yield made


def _list_layer_shapes(shape: TransformerConfig, layer: LayerConfig) -> list[LayerShape]:
    return [
        LayerShape(
            heads=heads,
            head_dim=shape.layer_head_dim(number),
            units=shape.layer_intermediate_dims[number],
            queries_per_key=layer.queries_per_key,
            window=layer.find_window(number),
            scale=layer.attention_scale,
        )
        for number, heads in enumerate(shape.layer_heads)
    ]


def _make_options(shape: TransformerConfig, layer: LayerConfig) -> Options:
    turns: list[np.ndarray | None] = [None, None]
    if shape.rotary is not None:
        for is_local in {layer.find_window(number) is not None for number in range(shape.num_layers)}:
            turns[is_local] = make_turns(shape.rotary, shape.layer_head_dim(0), shape.max_length, is_local=is_local)
    return Options(
        norm_place=layer.norm_place,
        takes_mean=layer.norm == "layer",
        is_causal=layer.is_causal,
        is_gated=layer.gate != "none",
        turns=(turns[0], turns[1]),
    )


def _make_slopes(shape: TransformerConfig, layer: LayerConfig) -> np.ndarray | None:
    """Returns ALiBi's bias by distance, `(heads, 2 * positions - 1)`; None if there is none."""
    if not layer.has_alibi:
        return None
    last = shape.max_length - 1
    distances = np.abs(np.arange(-last, last + 1, dtype="float32"))
    return -make_slopes(shape.layer_heads[0])[:, None] * distances


def _make_layer(shape: TransformerConfig, layer: LayerConfig, weights: Mapping[str, np.ndarray], number: int) -> Layer:
    name = name_layer(number)
    products = {part: _quantize(weights, f"{name}/{path}") for path, part in PRODUCTS.items()}
    products["query_key_value"] = _pick(products["query_key_value"], _order_heads(shape, layer, number))
    if layer.gate == "second":
        halves = np.arange(2 * shape.layer_intermediate_dims[number]).reshape(2, -1)
        products["intermediate"] = _pick(products["intermediate"], halves[::-1].reshape(-1))
    norms = {
        place: _read_norm(weights, f"{name}/{path}", layer)
        for path, place in _list_norms(shape, number, NORMS | HEAD_NORMS).items()
    }
    turned = _order_features(shape, number)
    norms |= {place: norms[place][:, turned] for place in HEAD_NORMS.values() if place in norms}
    return Layer(norms=norms, **products)


def _order_heads(shape: TransformerConfig, layer: LayerConfig, number: int) -> np.ndarray:
    """Returns the places of the product's outputs (all queries, all keys, all values) as the kernels take them."""
    heads, width, shared = shape.layer_heads[number], shape.layer_head_dim(number), layer.queries_per_key
    keys, turned = heads // shared, _order_features(shape, number)
    places = np.arange((heads + 2 * keys) * width).reshape(-1, width)
    queries = places[:heads, turned].reshape(keys, shared, width)
    key, value = places[heads : heads + keys, turned], places[heads + keys :]
    return np.concatenate([queries, key[:, None], value[:, None]], axis=1).reshape(-1)


def _order_features(shape: TransformerConfig, number: int) -> np.ndarray:
    """Returns the order of a query's features in which those that positions turn together stand half a head apart."""
    places = np.arange(shape.layer_head_dim(number))
    if shape.rotary is None or not shape.rotary.is_interleaved:
        return places
    turned = places[: shape.rotary.dim]
    return np.concatenate([turned[0::2], turned[1::2], places[len(turned) :]])


def _pick(product: Product, places: np.ndarray) -> Product:
    return Product(product.weights[places], product.scales[places], product.bias[places])


def _list_norms(shape: TransformerConfig, number: int, known: Mapping[str, str]) -> dict[str, str]:
    """Returns the paths of a layer's normalisations with their names in `Layer.norms`, in the order of its weights."""
    paths = (path.removesuffix("/gamma") for path, _ in find_block(shape).list_layer_shapes(shape, number))
    return {path: known[path] for path in paths if path in known}


def _quantize_tokens(weights: Mapping[str, np.ndarray], factor: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for numbers, scales in _quantize_blocks(weights, "embeddings/token/embeddings"):
        yield numbers, scales * np.float32(factor)


def _quantize_blocks(weights: Mapping[str, np.ndarray], path: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Quantizes some rows at a time of a weight, of a kernel those of its transpose."""
    if isinstance(weights, StoredEncoder):
        blocks = weights.read_blocks(path, ROWS_AT_A_TIME)
    else:
        blocks = iterate_blocks(weights[path].T if path.endswith("kernel") else weights[path], ROWS_AT_A_TIME)
    for block in blocks:
        yield quantize_rows(_check_finite(block, path))


def _quantize(weights: Mapping[str, np.ndarray], path: str, factor: float = 1.0) -> Product:
    blocks = zip(*_quantize_blocks(weights, f"{path}/kernel"), strict=True)
    numbers, scales = (np.concatenate(parts) for parts in blocks)
    has_bias = f"{path}/bias" in weights
    bias = _read_finite(weights, f"{path}/bias") if has_bias else np.zeros(len(scales), dtype="float32")
    return Product(numbers, scales * np.float32(factor), bias * np.float32(factor))


def _read_norm(weights: Mapping[str, np.ndarray], path: str, layer: LayerConfig) -> np.ndarray:
    gamma = _read_finite(weights, f"{path}/gamma")
    beta = _read_finite(weights, f"{path}/beta") if f"{path}/beta" in weights else np.zeros_like(gamma)
    return np.stack([gamma + 1 if layer.norm == "rms_plus_one" else gamma, beta])


def _read_finite(weights: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    return _check_finite(weights[path], path)


def _check_finite(weight: np.ndarray, path: str) -> np.ndarray:
    array = np.asarray(weight, dtype="float32")
    if not np.isfinite(array).all():
        raise NotFiniteError(path)
    return array
