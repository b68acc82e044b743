"""Normalisations of the last axis, with or without a bias, by mean and variance or by the root mean square alone."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.encoders.transformer import LayerNorm


@keras.saving.register_keras_serializable("tfchain")
class RMSNorm(keras.layers.Layer):
    """Root mean square normalisation: x / √(mean(x²) + ε) · γ (Zhang and Sennrich 2019), in float32 or higher.

    Args:
        epsilon: Added to the mean square.
        plus_one: Whether to multiply by 1 + γ, as Gemma does. Default: False.
    """

    def __init__(self, *, epsilon: float = 1e-6, plus_one: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.plus_one = plus_one

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        initializer = "zeros" if self.plus_one else "ones"
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer=initializer, autocast=False)

    def call(self, inputs: Any) -> Any:
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        values = ops.cast(inputs, dtype)
        gamma = ops.cast(self.gamma, dtype)
        with compact_steps():
            mean_square = ops.mean(ops.square(values), axis=-1, keepdims=True)
            scaled = values * ops.rsqrt(mean_square + self.epsilon) * (gamma + 1 if self.plus_one else gamma)
        return ops.cast(scaled, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon, "plus_one": self.plus_one}


def make_norm(options: LayerConfig, epsilon: float, name: str, dtype: Any) -> keras.layers.Layer:
    """Makes the normalisation of a configuration.

    Args:
        options: Its kind, and whether it has a bias.
        epsilon: Added to the variance or the mean square.
        name: The layer's name.
        dtype: The layer's policy.
    """
    if options.norm == "layer":
        return LayerNorm(epsilon=epsilon, center=options.norm_bias, name=name, dtype=dtype)
    return RMSNorm(epsilon=epsilon, plus_one=options.norm == "rms_plus_one", name=name, dtype=dtype)
