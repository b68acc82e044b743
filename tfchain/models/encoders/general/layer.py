"""A transformer layer with any of the options of `LayerConfig`."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.attend import LONG
from tfchain.models.encoders.compact_gradients import add
from tfchain.models.encoders.general.attention import GroupedAttention
from tfchain.models.encoders.general.norms import make_norm
from tfchain.models.encoders.layer_config import LayerConfig, to_plain
from tfchain.models.encoders.rows import Dropout, TextSize, as_rows
from tfchain.models.encoders.transformer import BlockLayer, make_activation


@keras.saving.register_keras_serializable("tfchain")
class GeneralLayer(BlockLayer):
    """Self-attention and a feed-forward network, gated or not, each added to its input, with norms where they belong.

    Args:
        num_heads: Query heads.
        head_dim: Width of a head.
        hidden_dim: Width of the input and the output.
        intermediate_dim: Width of the feed-forward network.
        options: The layer's configuration, as a `LayerConfig` or its plain values.
        window: The largest distance of two tokens that attend to each other. Default: no limit.
        is_interleaved: Which features rotary positions turn together. Default: False.
        has_attention_norm: False leaves out the normalisation at the attention. Default: True.
        activation: A name that `make_activation` accepts. Default: `gelu`.
        norm_epsilon: The epsilon of the normalisations. Default: 1e-6.
        dropout: Rate after attention and feed-forward network while training. Default: 0.
        attention_dropout: Rate on the attention weights while training. Default: 0.
        max_length: The maximum number of tokens in a text. Default: 1,024.

    Call as a `BlockLayer`, with what `GeneralBlock.share` returns for the bias. Products: `attention/query_key_value`,
    `attention/output`, `intermediate`, whose outputs are the gate and what it multiplies, and `output`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        hidden_dim: int,
        intermediate_dim: int,
        options: LayerConfig | Mapping[str, Any],
        window: int | None = None,
        is_interleaved: bool = False,
        has_attention_norm: bool = True,
        activation: str = "gelu",
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        max_length: int = LONG,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # the angles of positions stay in float32
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.options = options if isinstance(options, LayerConfig) else LayerConfig(**options)
        self.window = window
        self.is_interleaved = is_interleaved
        self.has_attention_norm = has_attention_norm
        self.activation = activation
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.max_length = max_length
        policy = self.dtype_policy
        self.attention = GroupedAttention(
            num_heads=num_heads,
            head_dim=head_dim,
            hidden_dim=hidden_dim,
            options=self.options,
            window=window,
            is_interleaved=is_interleaved,
            norm_epsilon=norm_epsilon,
            dropout=attention_dropout,
            max_length=max_length,
            name="attention",
            dtype=policy,
        )
        is_both = self.options.norm_place == "both"
        self.attention_norm = self._make_norm("attention_norm") if has_attention_norm else None
        self.after_attention_norm = self._make_norm("after_attention_norm") if is_both else None
        units = intermediate_dim if self.options.gate == "none" else 2 * intermediate_dim
        self.intermediate = keras.layers.Dense(
            units, use_bias=self.options.intermediate_bias, name="intermediate", dtype=policy
        )
        self.output_product = keras.layers.Dense(
            hidden_dim, use_bias=self.options.output_bias, name="output", dtype=policy
        )
        self.feed_forward_norm = self._make_norm("feed_forward_norm")
        self.after_feed_forward_norm = self._make_norm("after_feed_forward_norm") if is_both else None
        self.drop = Dropout(dropout, name="drop", dtype=policy)

    def _make_norm(self, name: str) -> keras.layers.Layer:
        return make_norm(self.options, self.norm_epsilon, name, self.dtype_policy)

    def build(self, *_: Any) -> None:
        self.attention.build()
        norms = (self.attention_norm, self.after_attention_norm, self.feed_forward_norm, self.after_feed_forward_norm)
        for norm in norms:
            if norm is not None:
                norm.build((None, self.hidden_dim))
        self.intermediate.build((None, self.hidden_dim))
        self.output_product.build((None, self.intermediate_dim))

    def compute(
        self, hidden: Any, bias: Any, token_ids: Any = None, *, training: bool = False, visit: Any = None
    ) -> Any:
        size = TextSize(hidden if token_ids is None else token_ids)
        rows = as_rows(hidden)
        is_post = self.options.norm_place == "post"

        normed = rows if is_post or self.attention_norm is None else self.attention_norm(rows)
        _show(visit, "attention/query_key_value", normed)
        mixed = self.attention.mix(normed, bias, size=size, training=training)
        _show(visit, "attention/output", mixed)
        attended = self.attention.output_product(mixed)
        if self.after_attention_norm is not None:
            attended = self.after_attention_norm(attended)
        rows = add(rows, self.drop(attended, training=training))
        if is_post and self.attention_norm is not None:
            rows = self.attention_norm(rows)

        normed = rows if is_post else self.feed_forward_norm(rows)
        _show(visit, "intermediate", normed)
        units = self._activate(self.intermediate(normed))
        _show(visit, "output", units)
        narrowed = self.output_product(units)
        if self.after_feed_forward_norm is not None:
            narrowed = self.after_feed_forward_norm(narrowed)
        rows = add(rows, self.drop(narrowed, training=training))
        if is_post:
            rows = self.feed_forward_norm(rows)
        return size.reshape(rows, self.hidden_dim)

    def _activate(self, units: Any) -> Any:
        activate = make_activation(self.activation)
        if self.options.gate == "none":
            return activate(units)
        first, second = ops.split(units, 2, axis=-1)
        return activate(first) * second if self.options.gate == "first" else first * activate(second)

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_heads", "head_dim", "hidden_dim", "intermediate_dim", "window", "is_interleaved",
            "has_attention_norm", "activation", "norm_epsilon", "dropout", "attention_dropout",
            "max_length",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "options": to_plain(self.options)}


def _show(visit: Any, path: str, rows: Any) -> None:
    if visit is not None:
        visit(path, rows)
