"""A layer of the decoder: attention to the target, attention to the source, a feed-forward network."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.general.norms import make_norm
from tfchain.models.encoders.layer_config import LayerConfig, to_plain
from tfchain.models.encoders.transformer import make_activation
from tfchain.models.seq2seq.attention import SourceAttention, TargetAttention


@keras.saving.register_keras_serializable("tfchain")
class DecoderLayer(keras.layers.Layer):
    """Three sublayers, each added to its input, with a norm before or after (Vaswani et al. 2017, section 3.1).

    Args:
        num_heads: Heads of both attentions.
        head_dim: Width of a head.
        hidden_dim: Width of input and output.
        intermediate_dim: Width of the feed-forward network.
        options: Norms, biases and gate, as a `LayerConfig` or its plain values.
        activation: A name that `make_activation` accepts.
        norm_epsilon: The epsilon of the normalisations.
        dropout: Rate after each sublayer while training. Default: 0.
        attention_dropout: Rate on the attention weights while training. Default: 0.

    Call with `hidden` `(batch, length, dim)`, the encoder's `states` `(batch, source length, dim)`, and the biases on
    the scores of both attentions; returns `(batch, length, dim)`. Products: `target_attention/query_key_value`,
    `target_attention/output`, `source_attention/query`, `source_attention/key_value`, `source_attention/output`,
    `intermediate`, `output`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        hidden_dim: int,
        intermediate_dim: int,
        options: LayerConfig | Mapping[str, Any],
        activation: str,
        norm_epsilon: float,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.options = options if isinstance(options, LayerConfig) else LayerConfig(**options)
        self.activation = activation
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        policy, layer = self.dtype_policy, self.options
        common: dict[str, Any] = {
            "num_heads": num_heads,
            "head_dim": head_dim,
            "hidden_dim": hidden_dim,
            "has_biases": layer.query_key_value_bias,
            "is_scaled": layer.attention_scale is None,
            "dropout": attention_dropout,
            "dtype": policy,
        }
        self.target_attention = TargetAttention(name="target_attention", **common)
        self.source_attention = SourceAttention(name="source_attention", **common)
        units = intermediate_dim * (1 if layer.gate == "none" else 2)
        self.intermediate = keras.layers.Dense(
            units, use_bias=layer.intermediate_bias, name="intermediate", dtype=policy
        )
        self.output_product = keras.layers.Dense(hidden_dim, use_bias=layer.output_bias, name="output", dtype=policy)
        self.target_norm = make_norm(layer, norm_epsilon, "target_norm", policy)
        self.source_norm = make_norm(layer, norm_epsilon, "source_norm", policy)
        self.feed_forward_norm = make_norm(layer, norm_epsilon, "feed_forward_norm", policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=policy)

    def build(self, *_: Any) -> None:
        for attention in (self.target_attention, self.source_attention):
            attention.build()
        for norm in (self.target_norm, self.source_norm, self.feed_forward_norm):
            norm.build((None, self.hidden_dim))
        self.intermediate.build((None, self.hidden_dim))
        self.output_product.build((None, self.intermediate_dim))

    def call(self, hidden: Any, states: Any, target_bias: Any, source_bias: Any, training: bool = False) -> Any:
        shape = ops.shape(hidden)
        source = self.source_attention.project(states)
        rows = self._add(
            ops.reshape(hidden, (-1, self.hidden_dim)),
            self.target_norm,
            lambda inputs: self.target_attention.compute(inputs, shape[0], target_bias, training=training),
            training,
        )
        return ops.reshape(self._end(rows, source, source_bias, training=training), shape)

    def step(
        self,
        rows: Any,
        cache: tuple[Any, Any],
        source: tuple[Any, Any],
        target_bias: Any,
        source_bias: Any,
        *,
        is_few: bool = False,
    ) -> tuple[Any, tuple[Any, Any]]:
        """Computes one position of all hypotheses.

        Args:
            rows: `(batch · beams, dim)`, the beams of a text one after the other.
            cache: Keys and values of the positions before, `(batch, heads, positions · beams, width)` each.
            source: Keys and values of the encoder's output, from `source_attention.project`.
            target_bias: Broadcasts to `(batch, heads, beams, (positions + 1) · beams)`: which hypotheses a beam
                continues.
            source_bias: Broadcasts to `(batch, heads, beams, source length)`.
            is_few: Whether there are few hypotheses; see `attend_few`. Default: False.

        Returns:
            The output's rows, and the cache with this position.
        """
        extended: list[Any] = []

        def attend(inputs: Any) -> Any:
            query, key, value = self.target_attention.project(inputs, ops.shape(cache[0])[0])
            keys, values = ops.concatenate([cache[0], key], axis=2), ops.concatenate([cache[1], value], axis=2)
            extended.extend((keys, values))
            return self.target_attention.mix(query, keys, values, target_bias, is_few=is_few)

        rows = self._add(rows, self.target_norm, attend, False)
        return self._end(rows, source, source_bias, is_few=is_few), (extended[0], extended[1])

    def _end(
        self, rows: Any, source: tuple[Any, Any], bias: Any, *, training: bool = False, is_few: bool = False
    ) -> Any:
        """Runs the attention to the source and the feed-forward network on rows."""

        def attend(inputs: Any) -> Any:
            return self.source_attention.compute(inputs, *source, bias, training=training, is_few=is_few)

        rows = self._add(rows, self.source_norm, attend, training)
        return self._add(rows, self.feed_forward_norm, self._feed_forward, training)

    def _add(self, rows: Any, norm: Any, compute: Any, training: bool) -> Any:
        """Adds a sublayer's result to its input."""
        if self.options.norm_place == "pre":
            return rows + self.drop(compute(norm(rows)), training=training)
        return norm(rows + self.drop(compute(rows), training=training))

    def _feed_forward(self, rows: Any) -> Any:
        units = self.intermediate(rows)
        activate = make_activation(self.activation)
        if self.options.gate == "none":
            return self.output_product(activate(units))
        gate, linear = ops.split(units, 2, axis=-1)
        return self.output_product(activate(gate) * linear)

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_heads", "head_dim", "hidden_dim", "intermediate_dim", "activation", "norm_epsilon", "dropout",
            "attention_dropout",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "options": to_plain(self.options)}
