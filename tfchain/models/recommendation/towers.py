"""The towers as Keras models: items, users, histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from tfchain.models.encoders.rows import EmbeddingTable
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.features import ID, Feature, input_name
from tfchain.models.recommendation.layers import BeginHistory, CategoriesMean, DropIds, Gate, RecencyMean

FEED_FORWARD = 2  # times the width, in a layer of the transformer


@dataclass(frozen=True)
class TowerShape:
    """What the towers are built for, besides the configuration.

    Args:
        num_items: Items that are trained on.
        num_users: Users that are trained on.
        item_features: What is read of items.
        user_features: What is read of users.
    """

    num_items: int
    num_users: int
    item_features: Sequence[Feature] = ()
    user_features: Sequence[Feature] = ()


class Towers(keras.Model):
    """Holds the three towers, so that their weights are trained, saved and checked as one model's.

    Args:
        items: From the inputs of items to vectors, `(batch, vector_dim)`.
        users: From the inputs of users to vectors, `(batch, dim)`; None if nothing is known of users.
        history: From the vectors of items, `(batch, length, dim)`, to a vector after each of the first ones, `(batch,
            length + 1, dim)`; None if histories do not count.
    """

    def __init__(self, items: keras.Model, users: keras.Model | None, history: keras.Model | None) -> None:
        super().__init__(name="towers")
        self.items = items
        self.users = users
        self.history_encoder = history
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the vectors of items."""
        return self.items(inputs, training=training)


def make_towers(config: RecommendationConfig, shape: TowerShape, *, dtype: str = "float32", seed: int = 0) -> Towers:
    """Makes the towers with new weights.

    Args:
        config: Their shape.
        shape: The numbers of ids, and the features.
        dtype: Keras' policy. Default: `float32`.
        seed: The seed of the new weights and of the dropouts. Default: 0.
    """
    items = make_item_tower(config, shape, dtype=dtype, seed=seed)
    users = make_user_tower(config, shape, dtype=dtype, seed=seed)
    return Towers(items, users, make_history_encoder(config, dtype=dtype, seed=seed))


def make_item_tower(config: RecommendationConfig, shape: TowerShape, *, dtype: str, seed: int) -> keras.Model:
    """Items to vectors: the item's own vector plus what its features make, and the bias as the last number."""
    inputs = _make_inputs(shape.item_features)
    rate = config.id_dropout if shape.item_features else 0.0
    ids = DropIds(rate, seed=seed, name="drop_ids")(inputs[ID])
    parts = [_project(shape.item_features, inputs, config, dtype, seed)] if shape.item_features else []
    if config.item_ids:
        parts.append(_embed(shape.num_items + 1, config.dim, "ids", dtype, seed)(ids))
    vectors = parts[0] if len(parts) == 1 else layers.Add(dtype="float32", name="sum")(parts)
    if config.bias:
        bias = EmbeddingTable(shape.num_items + 1, 1, embeddings_initializer="zeros", name="bias")(ids)
        if shape.item_features:  # what is new has a popularity to be expected of its features
            bias = layers.Add(name="bias_sum")(
                [bias, layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="bias_of_features")(parts[0])]
            )
        vectors = layers.Concatenate(dtype="float32", name="with_bias")([vectors, bias])
    return keras.Model(inputs, layers.Identity(dtype="float32", name="vectors")(vectors), name="items")


def make_user_tower(config: RecommendationConfig, shape: TowerShape, *, dtype: str, seed: int) -> keras.Model | None:
    """Users to vectors, of their ids and features; None if there are none."""
    if not config.user_ids and not shape.user_features:
        return None
    inputs = _make_inputs(shape.user_features)
    ids = DropIds(config.id_dropout if shape.user_features else 0.0, seed=seed + 1, name="drop_ids")(inputs[ID])
    parts = [_project(shape.user_features, inputs, config, dtype, seed + 1)] if shape.user_features else []
    if config.user_ids:
        parts.append(_embed(shape.num_users + 1, config.dim, "ids", dtype, seed + 1)(ids))
    vectors = parts[0] if len(parts) == 1 else layers.Add(dtype="float32", name="sum")(parts)
    return keras.Model(inputs, layers.Identity(dtype="float32", name="vectors")(vectors), name="users")


def make_history_encoder(config: RecommendationConfig, *, dtype: str, seed: int) -> keras.Model | None:
    """Vectors of items in the order of time to a vector of what is known after each; None if histories do not count."""
    if config.history == "none":
        return None
    inputs = keras.Input((None, config.dim), name="history")
    dropped = layers.Dropout(config.dropout, seed=seed, name="dropout")(inputs)
    begun = BeginHistory(config.max_history, positions=False, name="begin")(dropped)
    made = RecencyMean(config.max_history + 1, name="mean")(begun)
    if config.history == "transformer":
        sequence = BeginHistory(config.max_history, name="positions")(dropped)
        for number in range(config.num_layers):
            sequence = _add_layer(sequence, config, number, dtype, seed + 10 * number)
        normed = layers.LayerNormalization(epsilon=1e-6, dtype="float32", name="norm")(sequence)
        made = layers.Add(dtype="float32", name="sum")([made, Gate(dtype="float32", name="gate")(normed)])
    return keras.Model(inputs, layers.Identity(dtype="float32", name="vectors")(made), name="history")


def _add_layer(sequence: Any, config: RecommendationConfig, number: int, dtype: str, seed: int) -> Any:
    """A layer of the transformer, normalized before each part, in which a position sees none after it."""
    name = f"layer_{number}"
    normed = layers.LayerNormalization(epsilon=1e-6, dtype=dtype, name=f"{name}_attention_norm")(sequence)
    attended = layers.MultiHeadAttention(
        config.num_heads,
        config.dim // config.num_heads,
        dropout=config.dropout,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1),
        seed=seed + 2,
        dtype=dtype,
        flash_attention=False,
        name=f"{name}_attention",
    )(normed, normed, use_causal_mask=True)
    attended = layers.Dropout(config.dropout, seed=seed + 3, name=f"{name}_attention_dropout")(attended)
    sequence = layers.Add(name=f"{name}_attention_sum")([sequence, attended])
    normed = layers.LayerNormalization(epsilon=1e-6, dtype=dtype, name=f"{name}_feed_forward_norm")(sequence)
    wide = _dense(FEED_FORWARD * config.dim, f"{name}_wide", dtype, seed + 4, activation="gelu")(normed)
    narrow = _dense(config.dim, f"{name}_narrow", dtype, seed + 5)(wide)
    narrow = layers.Dropout(config.dropout, seed=seed + 6, name=f"{name}_dropout")(narrow)
    return layers.Add(name=f"{name}_sum")([sequence, narrow])


def _make_inputs(features: Sequence[Feature]) -> dict[str, Any]:
    inputs = {ID: keras.Input((), dtype="int32", name=ID)}
    for place, feature in enumerate(features):
        inputs[input_name(place)] = keras.Input(feature.shape, dtype=feature.dtype, name=input_name(place))
    return inputs


def _project(
    features: Sequence[Feature], inputs: dict[str, Any], config: RecommendationConfig, dtype: str, seed: int
) -> Any:
    """The sum of what each feature makes: an embedding of a category, a product of numbers and of texts' vectors."""
    parts = []
    for place, feature in enumerate(features):
        name, value = f"of_{input_name(place)}", inputs[input_name(place)]
        if feature.kind == "category":
            made = _embed(len(feature.values) + 1, config.dim, name, dtype, seed + place)(value)
        elif feature.kind == "categories":
            made = CategoriesMean(len(feature.values), config.dim, dtype=dtype, name=name)(value)
        else:
            made = _dense(config.dim, name, dtype, seed + place)(value)
        parts.append(made)
    return parts[0] if len(parts) == 1 else layers.Add(name="features")(parts)


def _embed(num_rows: int, dim: int, name: str, dtype: str, seed: int) -> EmbeddingTable:
    normal = keras.initializers.RandomNormal(stddev=dim**-0.5, seed=seed)
    return EmbeddingTable(num_rows, dim, embeddings_initializer=normal, dtype=dtype, name=name)


def _dense(dim: int, name: str, dtype: str, seed: int, activation: Any = None) -> keras.layers.Dense:
    glorot = keras.initializers.GlorotUniform(seed=seed)
    return layers.Dense(dim, activation=activation, kernel_initializer=glorot, dtype=dtype, name=name)


def take_last(vectors: Any, lengths: Any) -> Any:
    """Returns the vector after a history's last item, `(batch, dim)`.

    Args:
        vectors: What a history encoder returned, `(batch, length + 1, dim)`.
        lengths: The items of each history, int32 `(batch,)`.
    """
    return ops.squeeze(ops.take_along_axis(vectors, ops.cast(lengths, "int32")[:, None, None], axis=1), axis=1)
