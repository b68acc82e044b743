"""Self-attention with grouped heads of keys and values, normalised queries and keys, and rotary positions."""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.attend import LONG, attend_any
from tfchain.models.encoders.general.norms import make_norm
from tfchain.models.encoders.general.shared_inputs import list_position_options
from tfchain.models.encoders.layer_config import LayerConfig, to_plain
from tfchain.models.encoders.rows import Dropout, TextSize


def rotate(heads: Any, table: Any, *, is_interleaved: bool = False) -> Any:
    """Turns pairs of features by the angle of their position (Su et al. 2021, equation 34).

    Args:
        heads: Queries or keys, `(batch, heads, length, head_dim)`.
        table: Cosines and sines, float32 `(2, length, dim / 2)`; only the first `dim` features are turned.
        is_interleaved: Whether a pair is two neighbours, and not a feature of the first half of `dim` with one of the
            second. Default: False.
    """
    dim, width = 2 * table.shape[-1], heads.shape[-1]
    turned, rest = (heads, None) if dim == width else (heads[..., :dim], heads[..., dim:])
    values = ops.cast(turned, "float32")
    cosine, sine = ops.unstack(ops.cast(table, "float32"), 2)  # (length, dim / 2)
    if is_interleaved:
        shape = ops.shape(values)
        pairs = ops.reshape(values, (*shape[:-1], dim // 2, 2))
        first, second = pairs[..., 0], pairs[..., 1]
        pairs = ops.stack([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
        values = ops.reshape(pairs, shape)
    else:
        first, second = ops.split(values, 2, axis=-1)
        values = ops.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    values = ops.cast(values, heads.dtype)
    return values if rest is None else ops.concatenate([values, rest], axis=-1)


@keras.saving.register_keras_serializable("tfchain")
class GroupedAttention(keras.layers.Layer):
    """Multi-head self-attention in which several query heads may share a head of keys and values (Ainslie et al. 2023).

    Args:
        num_heads: Query heads.
        head_dim: Width of a head; `num_heads * head_dim` may differ from the input's width.
        hidden_dim: Width of the input and the output.
        options: The layer's configuration, as a `LayerConfig` or its plain values.
        window: The largest distance of two tokens that attend to each other. Default: no limit.
        is_interleaved: Which features rotary positions turn together; see `rotate`. Default: False.
        norm_epsilon: The epsilon of the normalisations of queries and keys. Default: 1e-6.
        dropout: Rate on the attention weights while training. Default: 0.
        max_length: The maximum number of tokens in a text; over 1,024, the layer computes attention in blocks for
            texts of more than 1,024 tokens. Default: 1,024.

    Products: `query_key_value`, whose outputs are all query heads, then the heads of keys, then those of values, and
    `output`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        hidden_dim: int,
        options: LayerConfig | Mapping[str, Any],
        window: int | None = None,
        is_interleaved: bool = False,
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        max_length: int = LONG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.hidden_dim = hidden_dim
        self.options = options if isinstance(options, LayerConfig) else LayerConfig(**options)
        self.window = window
        self.is_interleaved = is_interleaved
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.max_length = max_length
        self.num_keys = num_heads // self.options.queries_per_key
        policy = self.dtype_policy
        self.query_key_value = keras.layers.Dense(
            (num_heads + 2 * self.num_keys) * head_dim,
            use_bias=self.options.query_key_value_bias,
            name="query_key_value",
            dtype=policy,
        )
        self.query_norm = self.key_norm = None
        if self.options.query_key_norm:
            self.query_norm = make_norm(self.options, norm_epsilon, "query_norm", policy)
            self.key_norm = make_norm(self.options, norm_epsilon, "key_norm", policy)
        self.output_product = keras.layers.Dense(
            hidden_dim, use_bias=self.options.attention_output_bias, name="output", dtype=policy
        )
        self.drop = Dropout(dropout, name="drop", dtype=policy)

    def build(self, *_: Any) -> None:
        self.query_key_value.build((None, self.hidden_dim))
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build((None, None, None, self.head_dim))
        self.output_product.build((None, self.num_heads * self.head_dim))

    def call(self, hidden: Any, shared: Any, training: bool = False) -> Any:
        size = TextSize(hidden)
        rows = ops.reshape(hidden, (-1, self.hidden_dim))
        rows = self.output_product(self.mix(rows, shared, size=size, training=training))
        return size.reshape(rows, self.hidden_dim)

    def mix(self, rows: Any, shared: Any, *, size: TextSize, training: bool = False) -> Any:
        """Returns the heads' results, the input of the output product: `(batch * length, num_heads * head_dim)`.

        Args:
            rows: `(batch * length, hidden_dim)`.
            shared: What all layers share; see `GeneralBlock.share`.
            size: Batch and length.
            training: Whether dropout is on. Default: False.
        """
        heads, keys, width = self.num_heads, self.num_keys, self.head_dim
        product = size.reshape(self.query_key_value(rows), heads + 2 * keys, width)
        product = ops.transpose(product, (0, 2, 1, 3))  # (batch, heads, length, width)
        query, key, value = ops.split(product, [heads, heads + keys], axis=1)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        kind = "" if self.window is None else "local_"
        table = shared.get(f"{kind}rotary")
        if table is not None:
            query = rotate(query, table, is_interleaved=self.is_interleaved)
            key = rotate(key, table, is_interleaved=self.is_interleaved)
        scale = self.options.attention_scale or 1 / math.sqrt(width)
        mixed = attend_any(
            query * scale,
            key,
            value,
            shared[f"{kind}bias"],
            shared["padding"],
            positions=list_position_options(self.options, heads, self.window),
            drop=self.drop if training else None,
            max_length=self.max_length,
        )
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, heads * width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_heads",
            "head_dim",
            "hidden_dim",
            "window",
            "is_interleaved",
            "norm_epsilon",
            "dropout",
            "max_length",
        )
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "options": to_plain(self.options)}
