"""DeBERTa's layers in Keras: attention by content and by relative position, which have vectors of their own.

A position's part of a score depends on the distance of query and key alone. So it is computed for each distance, and
shifted row by row into place, by a reshape and a slice: TensorFlow and LiteRT need no gather of `(length, length)`.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.disentangled_config import DisentangledConfig, find_relative_rows
from tfchain.models.encoders.rows import Dropout, TextSize, as_rows
from tfchain.models.encoders.transformer import LayerNorm, SelfAttention, TransformerLayer


@keras.saving.register_keras_serializable("tfchain")
class RelativeEmbeddings(keras.layers.Layer):
    """The table of relative positions, normalised if the configuration says so; all layers share it.

    Args:
        rows: Rows of the table.
        dim: Width of a row.
        has_norm: Whether rows are normalised. Default: True.
        norm_epsilon: The epsilon of the normalisation. Default: 1e-7.

    Call with `token_ids`, which are not used; returns `(rows, dim)`.
    """

    def __init__(
        self, *, rows: int, dim: int, has_norm: bool = True, norm_epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.dim = dim
        self.has_norm = has_norm
        self.norm_epsilon = norm_epsilon
        self.norm = LayerNorm(epsilon=norm_epsilon, name="norm", dtype=self.dtype_policy) if has_norm else None

    def build(self, _: Any = None) -> None:
        self.table = self.add_weight(name="embeddings", shape=(self.rows, self.dim))
        if self.norm is not None:
            self.norm.build((None, self.dim))

    def call(self, token_ids: Any) -> Any:
        table = ops.convert_to_tensor(self.table)
        return table if self.norm is None else self.norm(table)

    def compute_output_shape(self, _: Any) -> tuple[int | None, ...]:
        return (self.rows, self.dim)

    def compute_output_spec(self, token_ids: Any) -> Any:
        return keras.KerasTensor((self.rows, self.dim), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("rows", "dim", "has_norm", "norm_epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def shift(scores: Any, length: Any) -> Any:
    """Returns entry `j - i + length - 1` of row i as entry j: what is listed by distance, by place.

    Args:
        scores: `(batch, heads, length, 2 * length - 1)`, by distance.
        length: The number of tokens.

    Returns:
        `(batch, heads, length, length)`.
    """
    batch, heads = ops.shape(scores)[:2]
    padded = ops.pad(scores, [[0, 0], [0, 0], [0, 0], [0, 1]])  # (batch, heads, length, 2 * length)
    flat = ops.reshape(padded, (batch, heads, 2 * length * length))
    flat = flat[:, :, length - 1 : length - 1 + length * (2 * length - 1)]
    return ops.reshape(flat, (batch, heads, length, 2 * length - 1))[..., :length]


@keras.saving.register_keras_serializable("tfchain")
class DisentangledAttention(SelfAttention):
    """Self-attention whose scores add what content says of positions, and positions of content (He et al. 2021).

    The score of query i and key j is (q_i·k_j + q_i·p_(i-j) + k_j·r_(i-j)) / √(3·width), where p and r are the table of
    relative positions, through products of their own or through those of key and query.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a head.
        options: The positions' configuration, as a `DisentangledConfig` or its plain values.
        max_length: The maximum number of tokens in a text.
        dropout: Rate on the attention weights while training. Default: 0.
        position_dropout: Rate on the table while training. Default: 0.

    Call as `SelfAttention`, with a dict of `bias`, which is added to the scores, and `positions`, the table
    `(rows, dim)`. Products: `query_key_value`, `position_key` and `position_query` if positions have their own, and
    `output`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        options: DisentangledConfig | Mapping[str, Any],
        max_length: int,
        dropout: float = 0.0,
        position_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads=num_heads, head_dim=head_dim, dropout=dropout, **kwargs)
        self.options = options if isinstance(options, DisentangledConfig) else DisentangledConfig(**options)
        self.max_length = max_length
        self.position_dropout = position_dropout
        self.position_drop = Dropout(position_dropout, name="position_drop", dtype=self.dtype_policy)
        self.position_products: dict[str, Any] = {}
        if not self.options.shares_products:
            for term, name in (("c2p", "position_key"), ("p2c", "position_query")):
                if term in self.options.terms:
                    product = keras.layers.Dense(num_heads * head_dim, name=name, dtype=self.dtype_policy)
                    self.position_products[term] = product

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        super().build(input_shape)
        for product in self.position_products.values():
            product.build((None, input_shape[-1]))

    def mix(self, hidden: Any, bias: Any, training: bool = False, *, size: TextSize | None = None) -> Any:
        heads, width = self.num_heads, self.head_dim
        product = (size or TextSize(hidden)).reshape(self.query_key_value(as_rows(hidden)), 3 * heads, width)
        query, key, value = ops.split(ops.transpose(product, (0, 2, 1, 3)), 3, axis=1)  # (batch, heads, length, width)
        scale = 1 / math.sqrt(width * self.options.num_terms)
        query, key = query * math.sqrt(scale), key * math.sqrt(scale)
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
        tokens = ops.shape(query)[2]
        tables = self._find_tables(bias["positions"], tokens, training)
        if "c2p" in tables:  # q_i · p_(i-j), listed by i-j from length - 1 down
            by_distance = ops.matmul(query, tables["c2p"][:, :, ::-1]) * math.sqrt(scale)
            scores = scores + shift(by_distance, tokens)
        if "p2c" in tables:  # k_j · r_(i-j), a row for each j, listed by i-j from 1 - length up
            by_distance = ops.matmul(key, tables["p2c"]) * math.sqrt(scale)
            scores = scores + ops.swapaxes(shift(by_distance, tokens), -1, -2)
        weights = self.drop(ops.softmax(scores + bias["bias"]), training=training)  # (batch, heads, length, length)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (batch, length, heads, width)
        return ops.reshape(mixed, (-1, heads * width))

    def _find_tables(self, positions: Any, length: Any, training: bool) -> dict[str, Any]:
        """Returns each term's vectors by distance, from `1 - length` up: `(heads, width, 2 * length - 1)`."""
        positions = self.position_drop(positions, training=training)
        if self.options.shares_products:
            query, key, _ = ops.split(self.query_key_value(positions), 3, axis=-1)
            found = {"c2p": key, "p2c": query}
        else:
            found = {term: product(positions) for term, product in self.position_products.items()}
        rows = ops.convert_to_tensor(find_relative_rows(self.options, self.max_length))
        rows = rows[self.max_length - length : self.max_length + length - 1]
        tables: dict[str, Any] = {}
        for term in self.options.terms:
            table = ops.take(found[term], rows, axis=0)  # (2 * length - 1, heads * width)
            table = ops.reshape(table, (-1, self.num_heads, self.head_dim))
            tables[term] = ops.transpose(table, (1, 2, 0))
        return tables

    def get_config(self) -> dict[str, Any]:
        own = {"max_length": self.max_length, "position_dropout": self.position_dropout}
        return {**super().get_config(), **own, "options": dataclasses.asdict(self.options)}


@keras.saving.register_keras_serializable("tfchain")
class DisentangledLayer(TransformerLayer):
    """A `TransformerLayer` with `DisentangledAttention`.

    Args:
        options: The positions' configuration, as a `DisentangledConfig` or its plain values.
        max_length: The maximum number of tokens in a text.
        **kwargs: As for `TransformerLayer`.
    """

    def __init__(self, *, options: DisentangledConfig | Mapping[str, Any], max_length: int, **kwargs: Any) -> None:
        self._options = options if isinstance(options, DisentangledConfig) else DisentangledConfig(**options)
        self._max_length = max_length
        super().__init__(**kwargs)

    def make_attention(self, **options: Any) -> SelfAttention:
        return DisentangledAttention(
            options=self._options, max_length=self._max_length, position_dropout=self.dropout, **options
        )

    def get_config(self) -> dict[str, Any]:
        options = dataclasses.asdict(self._options)
        return {**super().get_config(), "options": options, "max_length": self._max_length}
