"""Weights for the project's own int8 kernels: quantized from an encoder's float32 weights, or read from a file."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import list_transformer_shapes, name_layer
from tfchain.models.encoders.blocks.post_norm import POST_NORM
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.relative_positions import find_rows
from tfchain.models.native_library import Layer, Product, Weights
from tfchain.models.weights.stored_weights import quantize_rows
from tfchain.models.weights.tensor_files import TensorFile, write_tensors

# The path of a product in a layer → its name in `Layer` and in the file
PRODUCTS = dict(zip(POST_NORM.products, ("query_key_value", "attention_output", "intermediate", "output"), strict=True))
PRODUCT_PARTS = ("weights", "scales", "bias")


class NotFiniteError(ValueError):
    """A weight is NaN or infinite, and cannot be quantized."""


def make_kernel_weights(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> Weights:
    """Quantizes an encoder's weights: matrices in 8 bits, the rest in float32.

    Args:
        config: The encoder's shape.
        weights: Path → float32 array, with the paths of `list_shapes`.

    Raises:
        NotFiniteError: if a weight is not finite.
    """
    shape = config.transformer
    tokens, token_scales = quantize_rows(_read_finite(weights, "embeddings/token/embeddings"))
    fixed = _read_finite(weights, "embeddings/position/embeddings")[shape.position_offset :]
    if shape.num_token_types:
        fixed = fixed + _read_finite(weights, "embeddings/token_type/embeddings")[0]
    is_narrow = shape.token_embedding_dim not in (None, shape.hidden_dim)
    relative = None
    if shape.relative_attention_buckets:
        last = len(fixed) - 1
        rows = find_rows(shape.relative_attention_buckets, np.arange(-last, last + 1))
        relative = _read_finite(weights, "relative_position_bias/embeddings")[rows].T  # (heads, 2 * positions - 1)
        if len(relative) == 1:  # one bias for all heads
            relative = np.repeat(relative, max(shape.layer_heads), axis=0)
    return Weights(
        tokens=tokens,
        token_scales=token_scales,
        fixed=fixed,
        projection=_quantize(weights, "embeddings/projection") if is_narrow else None,
        norm=_read_norms(weights, "embeddings/norm"),
        layers=[_make_layer(config, weights, number) for number in range(shape.num_layers)],
        activation=shape.activation,
        epsilon=shape.norm_epsilon,
        relative=relative,
        normalizes=config.normalize and not config.dense,
    )


def save_kernel_weights(path: Path, weights: Weights) -> None:
    """Writes a safetensors file that `load_kernel_weights` reads.

    Args:
        path: The file.
        weights: From `make_kernel_weights`.
    """
    tensors = {"tokens": weights.tokens, "token_scales": weights.token_scales, "fixed": weights.fixed}
    tensors |= {"norm": weights.norm} | ({} if weights.relative is None else {"relative": weights.relative})
    products = {} if weights.projection is None else {"projection": weights.projection}
    for number, layer in enumerate(weights.layers):
        tensors[f"{name_layer(number)}.norms"] = layer.norms
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
        ModelFolderError: if the file is damaged, or belongs to another encoder.
    """
    shape, shapes = config.transformer, list_transformer_shapes(config.transformer)

    def read(name: str, dtype: str, *expected: int) -> np.ndarray:
        array = file.read(name) if name in file else None
        if array is None or array.shape != expected or array.dtype != dtype:
            raise ModelFolderError(
                f"{file.path} must hold {name} in {dtype} of the shape {expected}. "
                f"Received: {'none' if array is None else f'{array.dtype} of {array.shape}'}. Save the chain again."
            )
        return array

    def read_product(name: str, path: str) -> Product:
        inputs, outputs = shapes[f"{path}/kernel"]
        rest = (read(f"{name}.{part}", "float32", outputs) for part in ("scales", "bias"))
        return Product(read(f"{name}.weights", "int8", outputs, inputs), *rest)

    def read_layers() -> Iterator[Layer]:
        for number, heads in enumerate(shape.layer_heads):
            name = name_layer(number)
            products = {part: read_product(f"{name}.{part}", f"{name}/{path}") for path, part in PRODUCTS.items()}
            norms = read(f"{name}.norms", "float32", 4, dim)
            yield Layer(heads=heads, head_dim=shape.layer_head_dim(number), norms=norms, **products)

    dim, token_dim = shape.hidden_dim, shape.token_embedding_dim or shape.hidden_dim
    vocabulary, positions = shape.vocabulary_size, shape.max_length
    heads = max(shape.layer_heads) if shape.layer_heads[0] == 1 else shape.layer_heads[0]
    has_relative = bool(shape.relative_attention_buckets)
    return Weights(
        tokens=read("tokens", "int8", vocabulary, token_dim),
        token_scales=read("token_scales", "float32", vocabulary),
        fixed=read("fixed", "float32", positions, dim),
        projection=read_product("projection", "embeddings/projection") if token_dim != dim else None,
        norm=read("norm", "float32", 2, dim),
        layers=list(read_layers()),
        activation=shape.activation,
        epsilon=shape.norm_epsilon,
        relative=read("relative", "float32", heads, 2 * positions - 1) if has_relative else None,
        normalizes=config.normalize and not config.dense,
    )


def _make_layer(config: EncoderConfig, weights: Mapping[str, np.ndarray], number: int) -> Layer:
    shape, name = config.transformer, name_layer(number)
    heads, width = shape.layer_heads[number], shape.layer_head_dim(number)
    products = {part: _quantize(weights, f"{name}/{path}") for path, part in PRODUCTS.items()}
    fused = products["query_key_value"]
    order = np.arange(3 * heads * width).reshape(3, heads, width).swapaxes(0, 1).reshape(-1)
    products["query_key_value"] = Product(fused.weights[order], fused.scales[order], fused.bias[order])
    norms = _read_norms(weights, f"{name}/attention_norm", f"{name}/output_norm")
    return Layer(heads=heads, head_dim=width, norms=norms, **products)


def _quantize(weights: Mapping[str, np.ndarray], path: str) -> Product:
    numbers, scales = quantize_rows(_read_finite(weights, f"{path}/kernel").T)
    return Product(numbers, scales, _read_finite(weights, f"{path}/bias"))


def _read_norms(weights: Mapping[str, np.ndarray], *paths: str) -> np.ndarray:
    return np.stack([_read_finite(weights, f"{path}/{part}") for path in paths for part in ("gamma", "beta")])


def _read_finite(weights: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    array = np.asarray(weights[path], dtype="float32")
    if not np.isfinite(array).all():
        raise NotFiniteError(path)
    return array
