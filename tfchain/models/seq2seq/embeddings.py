"""The ends of a sequence-to-sequence transformer: the tables of tokens and of positions, and the logits."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("tfchain")
class TokenTable(keras.layers.Layer):
    """The embedding of tokens, which the encoder, the decoder and the logits may share (Press and Wolf 2017).

    Args:
        vocabulary_size: Rows.
        hidden_dim: Columns.
        scale: What a token's row is multiplied by. Default: 1.

    Call with int32 ids of any shape; returns the ids' rows, scaled. With `reverse=True`, call with `hidden`
    `(…, hidden_dim)`; returns its products with all unscaled rows, `(…, vocabulary_size)`.
    """

    def __init__(self, *, vocabulary_size: int, hidden_dim: int, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.scale = scale

    def build(self, *_: Any) -> None:
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.hidden_dim**-0.5),
        )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        import tensorflow as tf

        table = ops.cast(self.embeddings, self.compute_dtype)
        if not reverse:
            rows = tf.gather(table, inputs)
            return rows if self.scale == 1 else rows * self.scale
        scores = tf.matmul(ops.reshape(inputs, (-1, self.hidden_dim)), table, transpose_b=True)
        return ops.reshape(scores, (*ops.shape(inputs)[:-1], self.vocabulary_size))

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        shape = (*inputs.shape[:-1], self.vocabulary_size) if reverse else (*inputs.shape, self.hidden_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("vocabulary_size", "hidden_dim", "scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class SinusoidPositions(keras.layers.Layer):
    """Adds fixed sines and cosines of the position (Vaswani et al. 2017, section 3.5) to token embeddings.

    Args:
        kind: `marian`: the first token has position 0; `m2m_100`: padding has a row of zeros, and the first token the
            position after the padding's id.
        max_positions: Rows of the table without those for padding.
        pad_token_id: The id of padding; for `m2m_100`.

    Call with `hidden` `(batch, length, dim)` and `token_ids` `(batch, length)`; returns the sum. `at` returns the rows
    for tokens of one position.
    """

    def __init__(self, *, kind: str, max_positions: int, pad_token_id: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.max_positions = max_positions
        self.pad_token_id = pad_token_id

    def call(self, hidden: Any, token_ids: Any) -> Any:
        table = ops.convert_to_tensor(self.make_table(hidden.shape[-1]), dtype=self.compute_dtype)
        length = ops.shape(token_ids)[1]
        if self.kind == "marian":
            return hidden + table[:length]
        is_token = ops.cast(ops.not_equal(token_ids, self.pad_token_id), "int32")
        places = ops.cumsum(is_token, axis=1) * is_token + self.pad_token_id
        return hidden + ops.take(table, places, axis=0)

    def at(self, hidden: Any, token_ids: Any, position: Any) -> Any:
        """Adds the position of a decoder's step, a scalar that counts from 0, to rows `(rows, dim)` of tokens."""
        table = ops.convert_to_tensor(self.make_table(hidden.shape[-1]), dtype=self.compute_dtype)
        if self.kind == "marian":
            return hidden + ops.take(table, ops.reshape(position, (1,)), axis=0)
        is_token = ops.cast(ops.not_equal(token_ids, self.pad_token_id), "int32")
        return hidden + ops.take(table, (position + 1) * is_token + self.pad_token_id, axis=0)

    def make_table(self, dim: int) -> np.ndarray:
        """Returns the table, float32 `(positions, dim)`: sines in the first half of the columns, then cosines."""
        half = dim // 2
        if self.kind == "marian":
            angles = np.arange(self.max_positions)[:, None] / np.power(10000, 2 * np.arange(half) / dim)
            return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")
        rows = self.max_positions + self.pad_token_id + 2
        # In float32 as in transformers; the first step is log 10000 / (half - 1), which differs from Marian's.
        frequencies = np.exp(np.arange(half, dtype="float32") * np.float32(-math.log(10000) / max(half - 1, 1)))
        angles = np.arange(rows, dtype="float32")[:, None] * frequencies
        table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")
        table[self.pad_token_id] = 0
        return table

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = ("kind", "max_positions", "pad_token_id")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class LogitsBias(keras.layers.Layer):
    """Adds a bias that is read from a folder, and not trained, to scores `(…, vocabulary_size)`."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros", trainable=False)

    def call(self, scores: Any) -> Any:
        return scores + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
