"""Which weights an encoder has, in which order and shape, and their fingerprint: known from its configuration alone."""

import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.encoders.config import HEAD, DenseConfig, EncoderConfig, TransformerConfig

LAYER_PARTS = 10  # Keras layers that a transformer layer consists of, itself included
OTHER_LAYERS = 10  # two inputs, the mask, the embeddings with four inside, the pooling and the backbone
MAX_DISTANCE = 128  # of two tokens: from there on all share one row of the relative position bias


def list_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """The weights of an encoder: path → shape, in the order of the Keras model's `weights`.

    Args:
        config: The encoder's shape.
    """
    return dict(_list_shapes(config))


def _list_shapes(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    shape = config.transformer
    dim, token_dim = shape.hidden_dim, shape.token_embedding_dim or shape.hidden_dim
    if shape.relative_attention_buckets:
        yield "relative_position_bias/embeddings", (shape.relative_attention_buckets, shape.layer_heads[0])
    yield "embeddings/token/embeddings", (shape.vocabulary_size, token_dim)
    yield "embeddings/position/embeddings", (shape.max_positions, dim)
    if shape.num_token_types:
        yield "embeddings/token_type/embeddings", (shape.num_token_types, dim)
    if token_dim != dim:
        yield from _product("embeddings/projection", token_dim, dim)
    yield from _norm("embeddings/norm", dim)
    for number in range(shape.num_layers):
        name, inside = f"layer_{number}", shape.layer_heads[number] * shape.layer_head_dim(number)
        wide = shape.layer_intermediate_dims[number]
        yield from _product(f"{name}/attention/query_key_value", dim, 3 * inside)
        yield from _product(f"{name}/attention/output", inside, dim)
        yield from _norm(f"{name}/attention_norm", dim)
        yield from _product(f"{name}/intermediate", dim, wide)
        yield from _norm(f"{name}/output_norm", dim)
        yield from _product(f"{name}/output", wide, dim)
    for name, dense in list_dense(config):
        yield f"{name}/kernel", (dense.in_dim, dense.out_dim)
        if dense.use_bias:
            yield f"{name}/bias", (dense.out_dim,)


def list_dense(config: EncoderConfig) -> list[tuple[str, DenseConfig]]:
    """The Dense modules behind the pooling by their names, in order, the head behind the normalisation last."""
    modules = [(f"dense_{number}", dense) for number, dense in enumerate(config.dense)]
    return modules if config.head is None else [*modules, (HEAD, config.head)]


def _product(path: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}/kernel", (inputs, outputs)
    yield f"{path}/bias", (outputs,)


def _norm(path: str, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}/gamma", (dim,)
    yield f"{path}/beta", (dim,)


def fingerprint_weights(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> str:
    """The name that `fingerprint_model` gives the Keras model of this configuration in float32, without making it.

    Args:
        config: The encoder's shape.
        weights: Path → float32 array; each is asked for once.

    Returns:
        64 hexadecimal digits.
    """
    values = {"model": json.dumps(config.to_dict(), sort_keys=True), "types": ["float32"] * _count_layers(config)}
    return make_fingerprint(values, ((f"{number}", weights[path]) for number, path in enumerate(list_shapes(config))))


def _count_layers(config: EncoderConfig) -> int:
    shape = config.transformer
    optional = (
        bool(shape.relative_attention_buckets),
        bool(shape.num_token_types),
        shape.token_embedding_dim not in (None, shape.hidden_dim),
        config.normalize,
    )
    return OTHER_LAYERS + LAYER_PARTS * shape.num_layers + len(list_dense(config)) + sum(optional)


def make_buckets(num_buckets: int, max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """The row of a relative position bias for each distance from 0 to `max_distance`, int32.

    Near distances have a row each, from 8 · (128/8)^(i/8) on several share row 8 + i (T5's bidirectional scheme; Raffel
    et al. 2020, section 2.1). A key behind the query has the row `num_buckets // 2` further on.

    Args:
        num_buckets: Rows of the table.
        max_distance: From which distance on all share one row. Default: 128.
    """
    half = num_buckets // 2
    exact = half // 2
    distance = np.arange(max_distance + 1)
    scaled = np.log(np.maximum(distance, 1).astype("float32") / exact) / np.float32(math.log(max_distance / exact))
    coarse = np.minimum(exact + (scaled * (half - exact)).astype("int32"), half - 1)
    return np.where(distance < exact, distance, coarse).astype("int32")


def find_rows(config: TransformerConfig, distances: np.ndarray) -> np.ndarray:
    """The rows of the relative position bias for distances of tokens, positive where the key is behind the query.

    Args:
        config: The transformer's shape, with `relative_attention_buckets`.
        distances: Whole numbers of any shape.
    """
    buckets = make_buckets(config.relative_attention_buckets)
    near = buckets[np.minimum(np.abs(distances), MAX_DISTANCE)]
    rows: np.ndarray = near + np.where(distances > 0, config.relative_attention_buckets // 2, 0)
    return rows
