"""Makes the two towers as functional Keras models: pixels to vectors, token ids to vectors."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.rows import EmbeddingTable
from tfchain.models.images.config import ImageTextConfig, ImageTowerConfig, LayersConfig, TextTowerConfig
from tfchain.models.images.layers import AttentionPool, Patches, Positions, TowerLayer, make_norm

MASKED = -1e9  # added to the score of a token that is not attended to


def make_image_tower(config: ImageTextConfig, *, dtype: str = "float32") -> keras.Model:
    """Makes the tower of images.

    Args:
        config: The model's shape.
        dtype: The Keras policy of its layers. Default: `float32`.

    Returns:
        A model from pixels, float32 `(batch, image_size, image_size, 3)`, to vectors, `(batch, embedding_dim)`, which
        are not yet scaled to length one.
    """
    tower: ImageTowerConfig = config.image
    layers = tower.layers
    has_class = tower.pooling == "class"
    pixels = keras.Input((tower.image_size, tower.image_size, 3), name="pixels")
    values = Patches(tower.patch_size, name="patches", dtype=dtype)(pixels)
    values = keras.layers.Dense(layers.hidden_dim, use_bias=not has_class, name="embeddings", dtype=dtype)(values)
    positions = Positions(tower.num_patches + int(has_class), has_class, name="positions", dtype=dtype)
    values = positions(values)  # (batch, patches, hidden_dim)
    if has_class:
        values = make_norm("embeddings_norm", layers.norm_epsilon, dtype)(values)
    values = _run_layers(values, None, layers, dtype)
    norm = make_norm("final_norm", layers.norm_epsilon, dtype)
    if has_class:
        pooled = norm(values[:, 0])
        pooled = keras.layers.Dense(config.embedding_dim, use_bias=False, name="projection", dtype=dtype)(pooled)
    else:
        pool = AttentionPool(
            layers.hidden_dim,
            layers.num_heads,
            layers.intermediate_dim,
            layers.activation,
            layers.norm_epsilon,
            name="pool",
            dtype=dtype,
        )
        pooled = pool(norm(values))
    return keras.Model(pixels, ops.cast(pooled, "float32"), name="image_tower")


def make_text_tower(config: ImageTextConfig, *, dtype: str = "float32") -> keras.Model:
    """Makes the tower of texts.

    Args:
        config: The model's shape.
        dtype: The Keras policy of its layers. Default: `float32`.

    Returns:
        A model from a dict of `token_ids` and `padding_mask`, int32 `(batch, length)`, to vectors, `(batch,
        embedding_dim)`, which are not yet scaled to length one.
    """
    tower: TextTowerConfig = config.text
    layers = tower.layers
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
    embed = EmbeddingTable(
        tower.vocabulary_size,
        layers.hidden_dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.02),
        name="token_embeddings",
        dtype=dtype,
    )
    values = Positions(tower.max_length, name="positions", dtype=dtype)(embed(token_ids))
    if tower.has_token_types:  # all texts have the first type, whose vector is part of the positions
        values = make_norm("embeddings_norm", layers.norm_epsilon, dtype)(values)
    values = _run_layers(values, _make_bias(tower, padding_mask), layers, dtype)
    if not tower.has_token_types:
        values = make_norm("final_norm", layers.norm_epsilon, dtype)(values)
    pooled = _pool(tower, token_ids, values)
    has_bias = config.family == "siglip"
    pooled = keras.layers.Dense(config.embedding_dim, use_bias=has_bias, name="projection", dtype=dtype)(pooled)
    inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
    return keras.Model(inputs, ops.cast(pooled, "float32"), name="text_tower")


def _run_layers(values: Any, bias: Any, layers: LayersConfig, dtype: str) -> Any:
    for number in range(layers.num_layers):
        layer = TowerLayer(
            layers.hidden_dim,
            layers.num_heads,
            layers.intermediate_dim,
            layers.activation,
            layers.norm_epsilon,
            layers.norm_place,
            layers.dropout,
            name=f"layer_{number}",
            dtype=dtype,
        )
        values = layer(values) if bias is None else layer(values, bias)
    return values


def _make_bias(tower: TextTowerConfig, padding_mask: Any) -> Any:
    """Returns what is added to attention scores, `(batch, 1, 1 or length, length)`; None if nothing is."""
    if tower.pads_to_length:
        return None
    bias = (1.0 - ops.cast(padding_mask, "float32")[:, None, None, :]) * MASKED
    if tower.is_causal:
        places = ops.cumsum(ops.ones_like(padding_mask), axis=1)  # (batch, length), counted from 1
        is_later = places[:, None, None, :] > places[:, None, :, None]
        bias = bias + ops.cast(is_later, "float32") * MASKED
    return bias


def _pool(tower: TextTowerConfig, token_ids: Any, values: Any) -> Any:
    """Returns the vector of the token that stands for the text, `(batch, dim)`."""
    if tower.pooling == "first":
        return values[:, 0]
    if tower.pooling == "last":
        return values[:, -1]
    found = token_ids if tower.eos_id is None else ops.cast(ops.equal(token_ids, tower.eos_id), "int32")
    place = ops.argmax(found, axis=-1)  # the first of equals
    return ops.take_along_axis(values, ops.cast(place, "int32")[:, None, None], axis=1)[:, 0]
