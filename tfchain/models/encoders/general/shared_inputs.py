"""What all layers of a transformer share: angles of rotary positions, and biases on attention scores."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.attend import LONG
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig, to_plain
from tfchain.models.encoders.position_bias import make_position_bias
from tfchain.models.encoders.rotary import make_frequencies, make_slopes
from tfchain.models.encoders.rows import find_length, list_places


@keras.saving.register_keras_serializable("tfchain")
class RotaryTable(keras.layers.Layer):
    """The cosines and sines by which rotary positions turn queries and keys.

    Args:
        rotary: Base and scaling, as a `RotaryConfig` or its plain values.
        head_dim: Width of a head.
        is_local: Whether it is for layers with a window. Default: False.

    Call with `token_ids` `(batch, length)`, of which only the length is used; returns float32 `(2, length, dim / 2)`.
    """

    def __init__(
        self, *, rotary: RotaryConfig | Mapping[str, Any], head_dim: int, is_local: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rotary = rotary if isinstance(rotary, RotaryConfig) else RotaryConfig(**rotary)
        self.head_dim = head_dim
        self.is_local = is_local

    def call(self, token_ids: Any) -> Any:
        frequencies = make_frequencies(self.rotary, self.head_dim, is_local=self.is_local)
        positions = ops.cast(list_places(token_ids), "float32")
        angles = ops.expand_dims(positions, 1) * frequencies  # (length, dim / 2)
        table = ops.stack([ops.cos(angles), ops.sin(angles)])
        is_scaled = self.rotary.attention_factor != 1 and not (self.is_local and self.rotary.local_base is not None)
        return table * self.rotary.attention_factor if is_scaled else table

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (2, input_shape[1], (self.rotary.dim or self.head_dim) // 2)

    def compute_output_spec(self, token_ids: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(token_ids.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rotary": to_plain(self.rotary),
            "head_dim": self.head_dim,
            "is_local": self.is_local,
        }


@keras.saving.register_keras_serializable("tfchain")
class PositionBias(keras.layers.Layer):
    """The bias on attention scores by position, as all layers with the same window share it.

    Args:
        num_heads: Number of heads.
        layer: The layers' configuration, as a `LayerConfig` or its plain values.
        is_local: Whether it is for layers with a window. Default: False.
        max_length: The maximum number of tokens in a text. Default: 1,024.

    For a text of more than 1,024 tokens, whose attention is computed in blocks, the bias has one row, which nothing
    reads; LiteRT has no empty tensors.

    Call with the padding's bias `(batch, 1, 1, length)` or a scalar 0, and `token_ids` `(batch, length)`, of which only
    the length is used; returns the sum, of a shape that broadcasts to `(batch, heads, length, length)`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        layer: LayerConfig | Mapping[str, Any],
        is_local: bool = False,
        max_length: int = LONG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.max_length = max_length
        self.layer = layer if isinstance(layer, LayerConfig) else LayerConfig(**layer)
        self.is_local = is_local

    def call(self, padding: Any, token_ids: Any) -> Any:
        keys = list_places(token_ids)
        queries = keys
        if self.max_length > LONG:
            length = find_length(token_ids)
            queries = ops.arange(ops.where(ops.less_equal(length, LONG), length, 1), dtype="int32")
        window = self.layer.window if self.is_local else None
        options = list_position_options(self.layer, self.num_heads, window)
        return padding + make_position_bias(queries, keys, dtype=self.compute_dtype, **options)

    def compute_output_spec(self, padding: Any, token_ids: Any) -> Any:
        heads = self.num_heads if self.layer.has_alibi else 1
        length = token_ids.shape[1]
        return keras.KerasTensor((token_ids.shape[0], heads, length, length), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "layer": to_plain(self.layer),
            "is_local": self.is_local,
            "max_length": self.max_length,
        }


def list_position_options(layer: LayerConfig, num_heads: int, window: int | None) -> dict[str, Any]:
    """Returns the options of `make_position_bias`.

    Args:
        layer: The layers' configuration.
        num_heads: Number of heads.
        window: The window of the layer; None if it has none.
    """
    slopes = make_slopes(num_heads) if layer.has_alibi else None
    return {"is_causal": layer.is_causal, "window": window, "slopes": slopes}
