"""The bias on the scores of attention to the target: no token sees a later one, and T5 counts distances."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.position_bias import MASKED, make_position_bias
from tfchain.models.encoders.relative_positions import make_buckets


@keras.saving.register_keras_serializable("tfchain")
class TargetBias(keras.layers.Layer):
    """Masks later tokens, and adds T5's bias by distance if there is one (Raffel et al. 2020, section 2.1).

    Args:
        num_buckets: Rows of the relative position bias, 0 for none. Default: 0.
        num_heads: Its columns. Default: 1.
        max_distance: Longer distances share its last row. Default: 128.

    Call with `token_ids` `(batch, length)`, of which only the length is used; returns
    `(1, heads or 1, length, length)`.
    """

    def __init__(self, *, num_buckets: int = 0, num_heads: int = 1, max_distance: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_buckets = num_buckets
        self.num_heads = num_heads
        self.max_distance = max_distance

    def build(self, *_: Any) -> None:
        if self.num_buckets:
            self.table = self.add_weight(name="embeddings", shape=(self.num_buckets, self.num_heads))

    def call(self, token_ids: Any) -> Any:
        positions = ops.arange(ops.shape(token_ids)[1], dtype="int32")
        mask = make_position_bias(positions, positions, is_causal=True, dtype=self.compute_dtype)
        if not self.num_buckets:
            return mask
        distance = ops.expand_dims(positions, 1) - ops.expand_dims(positions, 0)  # (query, key)
        return mask + ops.expand_dims(self._find_rows(distance), 0)

    def at(self, position: Any, ancestors: Any) -> Any:
        """Returns the bias of one step.

        Args:
            position: The position of the step's token, a scalar that counts from 0.
            ancestors: int32 `(batch, beams, position + 1)`: in which beam the token at each position was that a
                hypothesis continues, the last one its own.

        Returns:
            `(batch, heads or 1, beams, (position + 1) · beams)`, 0 or T5's bias for a hypothesis' own tokens.
        """
        batch, beams, length = ops.shape(ancestors)
        own = ops.one_hot(ancestors, beams, dtype=self.compute_dtype)  # (batch, beams, length, beams)
        bias = ops.reshape((1 - own) * MASKED, (batch, 1, beams, -1))
        if not self.num_buckets:
            return bias
        distance = ops.expand_dims(position - ops.arange(length, dtype="int32"), 0)
        row = ops.repeat(self._find_rows(distance), beams, axis=2)  # (heads, 1, length · beams)
        return bias + ops.expand_dims(row, 0)

    def _find_rows(self, distance: Any) -> Any:
        """Returns the biases of int32 distances `(queries, keys)`, 0 for later keys: `(heads, queries, keys)`."""
        # Half of twice as many buckets: only keys before the query count.
        buckets = ops.convert_to_tensor(make_buckets(2 * self.num_buckets, self.max_distance))
        rows = ops.take(buckets, ops.clip(distance, 0, self.max_distance), axis=0)
        table = ops.cast(self.table, self.compute_dtype)
        return ops.transpose(ops.take(table, rows, axis=0), (2, 0, 1))

    def compute_output_spec(self, token_ids: Any) -> Any:
        length = token_ids.shape[1]
        return keras.KerasTensor(
            (1, self.num_heads if self.num_buckets else 1, length, length), dtype=self.compute_dtype
        )

    def get_config(self) -> dict[str, Any]:
        names = ("num_buckets", "num_heads", "max_distance")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
