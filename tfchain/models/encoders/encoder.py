"""The text encoder as a functional Keras model: token ids and padding mask in, one vector a text out."""

import json
from typing import Any

import keras
import numpy as np

from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.encoders.config import HEAD, DenseConfig, EncoderConfig, TransformerConfig
from tfchain.models.encoders.pooling import Normalize, Pooling
from tfchain.models.encoders.transformer import (
    AttentionMask,
    RelativePositionBias,
    TransformerEmbeddings,
    TransformerLayer,
    make_activation,
)
from tfchain.runtime.allocator import start_tensorflow
from tfchain.runtime.random_state import kept_random_state


@keras.saving.register_keras_serializable("tfchain")
class Encoder(keras.Model):
    """A transformer, pooling, dense modules, normalisation and a task's head in one Keras model.

    Use `tfchain.AutoModel.from_pretrained` to read one from a folder; make one of a configuration to train from
    nothing, or to hold a shrunk model's weights.

    Args:
        config: The encoder's shape; a dict of `EncoderConfig.to_dict` is taken too.
        dtype: Keras' policy for the transformer, such as `mixed_bfloat16`; pooling and what follows compute in float32.
            The policy that Keras is set to globally does not count. Default: `float32`.

    Inputs: a dict of `token_ids` and `padding_mask`, int32 `(batch, length)`; the mask is 1 for a token, 0 for padding.
    Output: `(batch, embedding_dim)` float32.

    Attributes:
        config: The `EncoderConfig`.
        backbone: The `keras.Model` below the pooling, from the same inputs to `(batch, length, hidden_dim)`.
    """

    def __init__(self, config: EncoderConfig | dict[str, Any], *, dtype: str = "float32", **kwargs: Any) -> None:
        if not isinstance(config, EncoderConfig):
            config = EncoderConfig.from_dict(config)
        start_tensorflow()
        inputs = make_inputs()
        hidden = add_transformer(config.transformer, inputs["token_ids"], inputs["padding_mask"], dtype=dtype)
        vectors = add_heads(config, hidden, inputs["padding_mask"])

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
    """An encoder whose weights are all set next: making it leaves the program's random numbers as they are.

    Args:
        config: The encoder's shape.
        name: The model's name. Default: one that Keras makes up.
        dtype: As for `Encoder`.
    """
    with kept_random_state():
        return Encoder(config, name=name, dtype=dtype)


def make_inputs() -> dict[str, Any]:
    """The inputs of an encoder, int32 `(batch, length)` each."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}


def add_transformer(config: TransformerConfig, token_ids: Any, padding_mask: Any, *, dtype: str = "float32") -> Any:
    """Puts embeddings and layers behind the inputs.

    Args:
        config: The transformer's shape.
        token_ids: Keras tensor `(batch, length)`.
        padding_mask: Keras tensor `(batch, length)`.
        dtype: The layers' policy. Default: `float32`.

    Returns:
        A Keras tensor `(batch, length, hidden_dim)`.
    """
    bias = add_attention_bias(config, token_ids, padding_mask, dtype=dtype)
    hidden = add_embeddings(config, token_ids, dtype=dtype)
    for number in range(config.num_layers):
        hidden = TransformerLayer(
            num_heads=config.layer_heads[number],
            head_dim=config.layer_head_dim(number),
            intermediate_dim=config.layer_intermediate_dims[number],
            activation=config.activation,
            norm_epsilon=config.norm_epsilon,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            name=f"layer_{number}",
            dtype=dtype,
        )(hidden, bias, token_ids)
    return hidden


def add_attention_bias(config: TransformerConfig, token_ids: Any, padding_mask: Any, *, dtype: str = "float32") -> Any:
    """What is added to attention scores: a Keras tensor that broadcasts to `(batch, heads, length, length)`."""
    bias = AttentionMask(name="attention_mask", dtype=dtype)(padding_mask)
    if config.relative_attention_buckets:
        relative = RelativePositionBias(
            config.relative_attention_buckets, config.layer_heads[0], name="relative_position_bias", dtype=dtype
        )
        bias = bias + relative(token_ids)
    return bias


def add_embeddings(
    config: TransformerConfig,
    token_ids: Any,
    *,
    kind: type[TransformerEmbeddings] = TransformerEmbeddings,
    dtype: str = "float32",
) -> Any:
    """The embeddings of tokens, a Keras tensor `(batch, length, hidden_dim)`; `kind` is the layer's class."""
    return kind(
        vocabulary_size=config.vocabulary_size,
        hidden_dim=config.hidden_dim,
        max_positions=config.max_positions,
        token_embedding_dim=config.token_embedding_dim,
        num_token_types=config.num_token_types,
        position_offset=config.position_offset,
        norm_epsilon=config.norm_epsilon,
        dropout=config.dropout,
        name="embeddings",
        dtype=dtype,
    )(token_ids)


def add_heads(config: EncoderConfig, hidden: Any, padding_mask: Any) -> Any:
    """Pooling, dense modules, normalisation and head, all in float32: a Keras tensor `(batch, embedding_dim)`."""
    pooled = Pooling(config.pooling.modes, name="pooling", dtype="float32")(hidden, padding_mask)
    for number, dense in enumerate(config.dense):
        pooled = make_dense(dense, f"dense_{number}")(pooled)
    if config.normalize:
        pooled = Normalize(name="normalize", dtype="float32")(pooled)
    return pooled if config.head is None else make_dense(config.head, HEAD)(pooled)


def make_dense(config: DenseConfig, name: str) -> keras.layers.Dense:
    """A Dense module as a layer, in float32."""
    return keras.layers.Dense(
        config.out_dim,
        use_bias=config.use_bias,
        activation=make_activation(config.activation),
        name=name,
        dtype="float32",
    )


def fingerprint_model(model: keras.Model) -> str:
    """The name of a model's content: its configuration and every weight.

    Args:
        model: Any built Keras model.

    Returns:
        64 hexadecimal digits.
    """
    layers = list(model._flatten_layers(include_self=False))
    if isinstance(model, Encoder):
        shape = json.dumps(model.config.to_dict(), sort_keys=True)
    else:
        # Keras numbers layers of the same name in one process: a place in the order tells the same, and stays.
        shape = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True, default=str)
        for number, name in enumerate(dict.fromkeys(layer.name for layer in (model, *layers))):
            shape = shape.replace(json.dumps(name), f'"#{number}"')
    types = ["float32" if _computes_nothing(layer) else layer.dtype_policy.name for layer in layers]
    arrays = ((f"{number}", np.asarray(weight)) for number, weight in enumerate(model.weights))
    return make_fingerprint({"model": shape, "types": types}, arrays)


def _computes_nothing(layer: Any) -> bool:
    """Whether a layer's policy is without effect: then it is the one that Keras was set to when the layer was made."""
    is_functional = hasattr(layer, "operations")
    return is_functional or isinstance(layer, keras.layers.InputLayer)
