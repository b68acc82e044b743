"""The decoder's two attentions: to the target so far, and to the source; each for a whole target or a step of it."""

import math
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.attend import attend


def attend_few(query: Any, key: Any, value: Any, bias: Any) -> Any:
    """Computes `attend` for few queries, by products of single numbers.

    TensorFlow's products of matrices prepare themselves anew for each number of keys, which grows with each step. That
    takes longer than all the multiplications of a few queries.
    """
    scores = ops.sum(ops.expand_dims(query, 3) * ops.expand_dims(key, 2), axis=-1) + bias
    weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return ops.sum(ops.expand_dims(weights, -1) * ops.expand_dims(value, 2), axis=3)


class _Attention(keras.layers.Layer):
    """What both attentions have: heads, their width, the output product and dropout.

    Args:
        num_heads: Heads.
        head_dim: Width of a head.
        hidden_dim: Width of inputs and output.
        has_biases: Whether products have biases. Default: True.
        is_scaled: Whether scores are divided by the root of a head's width. Default: True.
        dropout: Rate on the attention weights while training. Default: 0.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        hidden_dim: int,
        has_biases: bool = True,
        is_scaled: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.hidden_dim = hidden_dim
        self.has_biases = has_biases
        self.is_scaled = is_scaled
        self.dropout = dropout
        self.scale = 1 / math.sqrt(head_dim) if is_scaled else 1.0
        self.output_product = self._make_product(hidden_dim, "output")
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=self.dtype_policy)

    def _make_product(self, units: int, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, use_bias=self.has_biases, name=name, dtype=self.dtype_policy)

    def _split(self, rows: Any, batch: Any, parts: int) -> Any:
        """Turns rows `(batch · length, parts · heads · width)` into `(batch, parts · heads, length, width)`."""
        shaped = ops.reshape(rows, (batch, -1, parts * self.num_heads, self.head_dim))
        return ops.transpose(shaped, (0, 2, 1, 3))

    def _finish(self, mixed: Any) -> Any:
        """Returns the output product of the heads' results, as rows."""
        return self.output_product(
            ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, self.num_heads * self.head_dim))
        )

    def _scale(self, query: Any) -> Any:
        return query if self.scale == 1 else query * self.scale

    def _dropped(self, training: bool) -> Any:
        return (lambda weights: self.drop(weights, training=True)) if training and self.dropout else None

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "head_dim", "hidden_dim", "has_biases", "is_scaled", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class TargetAttention(_Attention):
    """Attention of a target's tokens to those before them; arguments as for `_Attention`.

    `compute` takes rows `(batch · length, dim)`, the batch, and a bias that broadcasts to
    `(batch, heads, length, length)`; it returns rows. Products: `query_key_value`, `output`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.query_key_value = self._make_product(3 * self.num_heads * self.head_dim, "query_key_value")

    def build(self, *_: Any) -> None:
        self.query_key_value.build((None, self.hidden_dim))
        self.output_product.build((None, self.num_heads * self.head_dim))

    def compute(self, rows: Any, batch: Any, bias: Any, *, training: bool) -> Any:
        query, key, value = ops.split(self._split(self.query_key_value(rows), batch, 3), 3, axis=1)
        return self._finish(attend(self._scale(query), key, value, bias, drop=self._dropped(training)))

    def project(self, rows: Any, batch: Any) -> tuple[Any, Any, Any]:
        """Returns queries, keys and values of rows of one step, `(batch, heads, beams, width)` each."""
        query, key, value = ops.split(self._split(self.query_key_value(rows), batch, 3), 3, axis=1)
        return self._scale(query), key, value

    def mix(self, query: Any, keys: Any, values: Any, bias: Any, *, is_few: bool) -> Any:
        """Returns the output for queries of one step, maybe few, and all keys so far, as rows."""
        return self._finish((attend_few if is_few else attend)(query, keys, values, bias))


@keras.saving.register_keras_serializable("tfchain")
class SourceAttention(_Attention):
    """Attention of a target's tokens to the encoder's output; arguments as for `_Attention`.

    `compute` takes rows `(batch · length, dim)`, keys and values from `project`, and the bias of the source's padding;
    it returns rows. Products: `query`, `key_value`, `output`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.query = self._make_product(self.num_heads * self.head_dim, "query")
        self.key_value = self._make_product(2 * self.num_heads * self.head_dim, "key_value")

    def build(self, *_: Any) -> None:
        self.query.build((None, self.hidden_dim))
        self.key_value.build((None, self.hidden_dim))
        self.output_product.build((None, self.num_heads * self.head_dim))

    def project(self, states: Any) -> tuple[Any, Any]:
        """Returns keys and values of the encoder's output `(batch, length, dim)`: `(batch, heads, length, width)`."""
        rows = self.key_value(ops.reshape(states, (-1, self.hidden_dim)))
        key, value = ops.split(self._split(rows, ops.shape(states)[0], 2), 2, axis=1)
        return key, value

    def compute(
        self, rows: Any, key: Any, value: Any, bias: Any, *, training: bool = False, is_few: bool = False
    ) -> Any:
        query = self._split(self.query(rows), ops.shape(key)[0], 1)  # (batch, heads, length or beams, width)
        if is_few:
            return self._finish(attend_few(self._scale(query), key, value, bias))
        return self._finish(attend(self._scale(query), key, value, bias, drop=self._dropped(training)))
