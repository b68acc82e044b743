"""Pooling of token vectors into one vector per text: sentence-transformers' Pooling and Normalize as Keras layers."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps


@keras.saving.register_keras_serializable("tfchain")
class Pooling(keras.layers.Layer):
    """Pools token vectors into one vector per text, ignoring padding.

    `mean` suits most models and is sentence-transformers' default; `cls` and `lasttoken` are for models trained with
    them (`lasttoken` and `weightedmean` for decoders; Muennighoff 2022). Use the mode that the model's folder names.

    Args:
        modes: Keys of `POOLINGS`; the results of several modes are concatenated in the order given.

    Call with `hidden` `(batch, length, dim)` and `padding_mask` `(batch, length)`: 1 for a token to pool, 0 for
    padding, 2 for a token to leave out (of a prompt, if the model leaves prompts out). Returns `(batch, dim * modes)`
    in float32; sums are computed in float32 under mixed precision too.
    """

    def __init__(self, modes: Sequence[str] = ("mean",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modes = tuple(modes)

    def call(self, hidden: Any, padding_mask: Any) -> Any:
        hidden = ops.cast(hidden, "float32")
        mask = ops.cast(ops.equal(padding_mask, 1), "float32")  # (batch, length)
        pooled = [POOLINGS[mode](hidden, mask) for mode in self.modes]
        return ops.concatenate(pooled, axis=-1) if len(pooled) > 1 else pooled[0]

    def compute_output_shape(self, hidden_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return (hidden_shape[0], hidden_shape[-1] * len(self.modes))  # type: ignore[operator]

    def compute_output_spec(self, hidden: Any, padding_mask: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(hidden.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "modes": list(self.modes)}


def pool_mean(hidden: Any, mask: Any) -> Any:
    """Returns the sum over the tokens divided by their number."""
    with compact_steps():
        return _weighted_sum(hidden, mask) / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1e-9)


def pool_mean_sqrt(hidden: Any, mask: Any) -> Any:
    """Returns the sum over the tokens divided by the square root of their number."""
    return _weighted_sum(hidden, mask) / ops.sqrt(ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1e-9))


def pool_weighted_mean(hidden: Any, mask: Any) -> Any:
    """Returns the mean with weight 1 for the first position, 2 for the second, and so on."""
    weights = mask * ops.arange(1, ops.shape(mask)[1] + 1, dtype="float32")
    return _weighted_sum(hidden, weights) / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-9)


def pool_max(hidden: Any, mask: Any) -> Any:
    """Returns the largest value of each dimension."""
    # Not Keras' `max`, which refuses no texts, though only where it is not in a graph.
    return tf.reduce_max(ops.where(ops.expand_dims(mask, -1) > 0, hidden, -1e9), axis=1)


def pool_cls(hidden: Any, mask: Any) -> Any:
    """Returns the first token's vector."""
    first = ops.cast(ops.equal(ops.cumsum(mask, axis=1) * mask, 1.0), "float32")
    return _weighted_sum(hidden, first)


def pool_last(hidden: Any, mask: Any) -> Any:
    """Returns the last token's vector."""
    number = ops.cumsum(mask, axis=1) * mask  # 1, 2, …, n, 0, 0
    last = ops.cast(ops.equal(number, ops.sum(mask, axis=1, keepdims=True)), "float32") * mask
    return _weighted_sum(hidden, last)


def _weighted_sum(hidden: Any, weights: Any) -> Any:
    """Returns `(batch, dim)` of `(batch, length, dim)` and `(batch, length)`, as one product."""
    with compact_steps():
        product = ops.matmul(ops.expand_dims(weights, 1), hidden)
    return ops.squeeze(product, 1)


POOLINGS = {
    "cls": pool_cls,
    "max": pool_max,
    "mean": pool_mean,
    "mean_sqrt_len_tokens": pool_mean_sqrt,
    "weightedmean": pool_weighted_mean,
    "lasttoken": pool_last,
}


@keras.saving.register_keras_serializable("tfchain")
class Normalize(keras.layers.Layer):
    """Scales each vector to length one, as PyTorch's `normalize` does: a length below 1e-12 counts as 1e-12."""

    def call(self, vectors: Any) -> Any:
        length = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
        with compact_steps():
            return vectors / ops.maximum(length, 1e-12)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
