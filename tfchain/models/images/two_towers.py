"""The Keras model of both towers with the learned temperature: what a training changes, and what is saved."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.models.images.config import ImageTextConfig
from tfchain.models.images.towers import make_image_tower, make_text_tower

IMAGE_TOWER, TEXT_TOWER, TEMPERATURE = "image_tower", "text_tower", "temperature"
INITIAL_SCALE = float(np.log(1 / 0.07))  # CLIP's, of the in-batch softmax
INITIAL_SIGMOID_SCALE, INITIAL_BIAS = float(np.log(10.0)), -10.0  # SigLIP's, of the sigmoid loss


@keras.saving.register_keras_serializable("tfchain")
class Temperature(keras.layers.Layer):
    """Compares all pictures of a batch with all texts: cosines times a learned factor, plus a learned bias.

    Args:
        has_bias: Whether there is a bias, as the sigmoid loss needs it. Default: False.
        scale: The logarithm of the factor at the start.
        bias: The bias at the start. Default: 0.
    """

    def __init__(self, has_bias: bool = False, scale: float = INITIAL_SCALE, bias: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.has_bias, self.initial_scale, self.initial_bias = has_bias, scale, bias

    def build(self, images_shape: Any, texts_shape: Any = None) -> None:
        self.scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.initial_scale), name="logit_scale"
        )
        if self.has_bias:
            start = keras.initializers.Constant(self.initial_bias)
            self.bias = self.add_weight(shape=(), initializer=start, name="logit_bias")
        self.built = True

    def compute_output_shape(self, images_shape: Any, texts_shape: Any) -> tuple[Any, ...]:
        return (images_shape[0], texts_shape[0])

    def call(self, images: Any, texts: Any) -> Any:
        logits = ops.matmul(scale_to_one(images), ops.transpose(scale_to_one(texts)))  # (images, texts)
        logits = logits * ops.exp(self.scale)
        return logits + self.bias if self.has_bias else logits

    def get_config(self) -> dict[str, Any]:
        own = {"has_bias": self.has_bias, "scale": self.initial_scale, "bias": self.initial_bias}
        return {**super().get_config(), **own}


def scale_to_one(vectors: Any) -> Any:
    """Scales vectors to length one."""
    return vectors / ops.maximum(ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True)), 1e-12)


def make_two_towers(config: ImageTextConfig, *, dtype: str = "float32", seed: int | None = None) -> keras.Model:
    """Makes the model of both towers with new weights.

    Args:
        config: The model's shape.
        dtype: The Keras policy of the towers' layers. Default: `float32`.
        seed: The seed of the weights. Default: Keras' own, which differs each time.

    Returns:
        A model from a dict of `pixels`, `token_ids` and `padding_mask` to how alike each picture is to each text,
        float32 `(images, texts)`.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    image_tower, text_tower = make_image_tower(config, dtype=dtype), make_text_tower(config, dtype=dtype)
    side = config.image.image_size
    pixels = keras.Input((side, side, 3), name="pixels")
    texts = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    start = (INITIAL_SIGMOID_SCALE, INITIAL_BIAS) if config.has_logit_bias else (INITIAL_SCALE, 0.0)
    temperature = Temperature(config.has_logit_bias, *start, name=TEMPERATURE, dtype="float32")
    logits = temperature(image_tower(pixels), text_tower(texts))
    return keras.Model({"pixels": pixels, **texts}, logits, name="two_towers")
