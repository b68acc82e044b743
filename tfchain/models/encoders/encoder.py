"""The text encoder as a functional Keras model: token ids and padding mask in, one vector per text out."""

import functools
import json
from typing import Any

import keras
import numpy as np

from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.encoders.anatomy import (
    LAYER_NORM,
    LAYER_NORM_EPSILON,
    find_block,
    list_dense,
    list_dropouts,
    name_dropout,
)
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.layer_mean import LayerMean
from tfchain.models.encoders.pooling import Normalize, Pooling
from tfchain.models.encoders.rows import Dropout
from tfchain.models.encoders.token_layers import TokenFlags, TokenMatrix
from tfchain.models.encoders.transformer import LayerNorm, make_activation
from tfchain.models.encoders.walk import LAYER_MEAN, TOKEN_FLAGS, TOKEN_MATRIX, walk_heads, walk_transformer
from tfchain.runtime.allocator import start_tensorflow
from tfchain.runtime.random_state import kept_random_state


@keras.saving.register_keras_serializable("tfchain")
class Encoder(keras.Model):
    """A transformer, pooling, dense modules, normalisation and a task's head in one Keras model.

    Use `tfchain.AutoModel.from_pretrained` to read an encoder from a folder. Use the constructor to train from scratch,
    or to hold a shrunk model's weights.

    Args:
        config: The encoder's shape, or a dict from `EncoderConfig.to_dict`.
        dtype: Keras' policy for the transformer, such as `mixed_bfloat16`; pooling and what follows compute in float32.
            Keras' global policy is ignored. Default: `float32`.

    Inputs: a dict of `token_ids` and `padding_mask`, int32 `(batch, length)`; the mask is 1 for a token, 0 for padding.
    Output: `(batch, embedding_dim)` float32.

    Attributes:
        config: The `EncoderConfig`.
        backbone: The `keras.Model` before the pooling, from the same inputs to `(batch, length, hidden_dim)`.
    """

    def __init__(self, config: EncoderConfig | dict[str, Any], *, dtype: str = "float32", **kwargs: Any) -> None:
        if not isinstance(config, EncoderConfig):
            config = EncoderConfig.from_dict(config)
        start_tensorflow()
        inputs = make_inputs()
        make = functools.partial(make_layer, config, dtype=dtype)
        hidden = walk_transformer(config.transformer, make, inputs["token_ids"], inputs["padding_mask"])
        vectors = walk_heads(config, make, hidden, inputs["token_ids"], inputs["padding_mask"])

        super().__init__(inputs=inputs, outputs=vectors, **kwargs)
        self.config = config
        self.backbone = keras.Model(inputs, hidden, name="backbone")
        self.dtype_policy = keras.dtype_policies.get(dtype)
        self.backbone.dtype_policy = self.dtype_policy

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Encoder":
        return cls(**config)


def make_blank_encoder(config: EncoderConfig, *, name: str | None = None, dtype: str = "float32") -> Encoder:
    """Makes an encoder for weights that are set next, without using the program's random numbers.

    Args:
        config: The encoder's shape.
        name: The model's name. Default: a name from Keras.
        dtype: As for `Encoder`.
    """
    with kept_random_state():
        return Encoder(config, name=name, dtype=dtype)


def make_inputs() -> dict[str, Any]:
    """Makes the inputs of an encoder, int32 `(batch, length)` each."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}


def make_layer(config: EncoderConfig, name: str, *, dtype: str = "float32") -> Any:
    """Makes a Keras layer of an encoder.

    Args:
        config: The encoder's shape.
        name: The layer's name, as `walk_transformer` and `walk_heads` ask for it.
        dtype: The policy of the transformer's layers; those that follow compute in float32. Default: `float32`.
    """
    if name == "pooling":
        return Pooling(config.pooling.modes, name=name, dtype="float32")
    if name == LAYER_MEAN:
        return LayerMean(config.transformer.layer_weights, name=name, dtype="float32")
    if name == TOKEN_FLAGS:
        return TokenFlags(config.transformer.vocabulary_size, name=name, dtype="float32")
    if name == TOKEN_MATRIX and config.tokens is not None:
        # Token types raise the ids of pairs, as flags raise those of late interaction: here they flag nothing.
        num_ids = config.transformer.vocabulary_size * config.transformer.given_token_types
        return TokenMatrix(config.tokens.num_vectors, num_ids, name=name, dtype="float32")
    if name.partition("_")[0] == "normalize":
        return Normalize(name=name, dtype="float32")
    if name.startswith(LAYER_NORM):
        return LayerNorm(epsilon=LAYER_NORM_EPSILON, name=name, dtype="float32")
    for module, rate in list_dropouts(config).items():
        if name == name_dropout(module):
            return Dropout(rate, name=name, dtype="float32")
    dense = dict(list_dense(config)).get(name)
    if dense is not None:
        return make_dense(dense, name)
    return find_block(config.transformer).make_layer(config.transformer, name, dtype=dtype)


def make_dense(config: DenseConfig, name: str) -> keras.layers.Dense:
    """Makes a dense module's layer, in float32."""
    return keras.layers.Dense(
        config.out_dim,
        use_bias=config.use_bias,
        activation=make_activation(config.activation),
        name=name,
        dtype="float32",
    )


def fingerprint_model(model: keras.Model) -> str:
    """Returns a hash of a model's content: its configuration and every weight.

    Args:
        model: Any built Keras model.

    Returns:
        64 hexadecimal digits.
    """
    layers = list(model._flatten_layers(include_self=False))
    if isinstance(model, Encoder):
        shape = json.dumps(model.config.to_dict(), sort_keys=True)
    else:
        # Keras numbers layers of the same name within a process; their order is the same in every process.
        shape = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True, default=str)
        for number, name in enumerate(dict.fromkeys(layer.name for layer in (model, *layers))):
            shape = shape.replace(json.dumps(name), f'"#{number}"')
    types = ["float32" if _ignores_policy(layer) else layer.dtype_policy.name for layer in layers]
    arrays = ((f"{number}", np.asarray(weight)) for number, weight in enumerate(model.weights))
    return make_fingerprint({"model": shape, "types": types}, arrays)


def _ignores_policy(layer: Any) -> bool:
    """Returns whether a layer's policy has no effect: it is then Keras' global policy when the layer was made."""
    is_functional = hasattr(layer, "operations")
    return is_functional or isinstance(layer, keras.layers.InputLayer)
