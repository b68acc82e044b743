"""Layers of recommendation models: ids that are dropped, means of categories, causal encoders of histories."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.models.encoders.rows import EmbeddingTable


@keras.saving.register_keras_serializable("tfchain")
class DropIds(keras.layers.Layer):
    """Replaces a share of the ids by 0, the id of what is not known, while training.

    What has id 0 is then told apart by its features alone, and the model learns to use them: items and users that come
    later are served so. Source: Volkovs, Yu and Poutanen 2017, DropoutNet.

    Args:
        rate: The share, in [0, 1).
        seed: The seed. Default: 0.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, ids: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return ids
        kept = keras.random.uniform(ops.shape(ids), seed=self.generator) >= self.rate
        return ops.where(kept, ids, ops.zeros_like(ids))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable("tfchain")
class CategoriesMean(keras.layers.Layer):
    """The mean of the vectors of several categories; zero for none.

    Args:
        num_values: The number of categories; they are numbered from 1, and 0 is padding.
        dim: The width of the vectors.
    """

    def __init__(self, num_values: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_values = num_values
        self.dim = dim
        self.embedding = EmbeddingTable(num_values + 1, dim, name="embedding")

    def build(self, input_shape: Any) -> None:
        self.embedding.build(input_shape)
        self.built = True

    def call(self, values: Any) -> Any:
        mask = ops.cast(values > 0, self.compute_dtype)[..., None]  # (batch, values, 1)
        total = ops.sum(self.embedding(values) * mask, axis=-2)  # (batch, dim)
        return total / ops.maximum(ops.sum(mask, axis=-2), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_values": self.num_values, "dim": self.dim}


@keras.saving.register_keras_serializable("tfchain")
class BeginHistory(keras.layers.Layer):
    """Puts a learned vector before a history, and adds a learned vector for each position.

    Position `t` of what a causal encoder makes of it knows the first `t` items: position 0 is a user without a history.

    Args:
        max_length: The most items of a history.
        positions: Whether positions have vectors. Default: True.
    """

    def __init__(self, max_length: int, positions: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_length = max_length
        self.positions = positions

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        small = keras.initializers.RandomNormal(stddev=0.02, seed=0)
        self.start = self.add_weight(shape=(1, 1, dim), initializer=small, name="start")
        if self.positions:
            shape = (self.max_length + 1, dim)
            self.position_vectors = self.add_weight(shape=shape, initializer=small, name="positions")
        self.built = True

    def call(self, history: Any) -> Any:
        start = ops.broadcast_to(ops.cast(self.start, history.dtype), (ops.shape(history)[0], 1, ops.shape(history)[2]))
        sequence = ops.concatenate([start, history], axis=1)  # (batch, length + 1, dim)
        if not self.positions:
            return sequence
        return sequence + ops.cast(self.position_vectors, history.dtype)[: ops.shape(sequence)[1]]

    def compute_output_shape(self, input_shape: Any) -> Any:
        length = None if input_shape[1] is None else input_shape[1] + 1
        return (input_shape[0], length, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length, "positions": self.positions}


@keras.saving.register_keras_serializable("tfchain")
class RecencyMean(keras.layers.Layer):
    """At each position, the mean of all vectors up to it, weighted by how long ago they came, times a learned number.

    The weights are learned, and begin with a factor of `decay` for each place further back.

    Args:
        max_length: The longest sequence.
        decay: Above 0 and at most 1. Default: 0.9.
        scale: What the number begins with. Default: 5.
    """

    def __init__(self, max_length: int, decay: float = 0.9, scale: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_length = max_length
        self.decay = decay
        self.scale = scale

    def build(self, input_shape: Any) -> None:
        falling = float(np.log(self.decay)) * np.arange(self.max_length, dtype="float32")
        self.ages = self.add_weight(
            shape=(self.max_length,), initializer=lambda shape, dtype=None: ops.convert_to_tensor(falling, dtype),
            name="ages",
        )  # fmt: skip
        constant = keras.initializers.Constant(self.scale)
        self.factor = self.add_weight(shape=(1,), initializer=constant, name="factor")
        self.built = True

    def call(self, sequence: Any) -> Any:
        length = ops.shape(sequence)[1]
        places = ops.arange(length)
        ages = places[:, None] - places[None, :]  # (position, position)
        scores = ops.take(ops.cast(self.ages, "float32"), ops.maximum(ages, 0))
        weights = ops.softmax(ops.where(ages >= 0, scores, -1e9), axis=-1)
        return ops.cast(self.factor, sequence.dtype) * ops.matmul(ops.cast(weights, sequence.dtype), sequence)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        values = {"max_length": self.max_length, "decay": self.decay, "scale": self.scale}
        return {**super().get_config(), **values}


@keras.saving.register_keras_serializable("tfchain")
class Gate(keras.layers.Layer):
    """A learned number for each dimension, 0 at first, that its input is multiplied by.

    What a gate lets through is learned in addition to what is there without it. Source: Bachlechner et al.
    2020, ReZero.
    """

    def build(self, input_shape: Any) -> None:
        self.factors = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="factors")
        self.built = True

    def call(self, vectors: Any) -> Any:
        return vectors * ops.cast(self.factors, vectors.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
