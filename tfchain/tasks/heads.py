"""Heads: a Dense layer on any encoder, for the numbers that a task needs."""

import dataclasses

import keras
import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import HEAD
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder


def add_head(
    text_encoder: TextEncoder,
    dim: int,
    *,
    kernel: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    seed: int = 0,
) -> TextEncoder:
    """Makes a text encoder that outputs a linear function of another's vectors; the given encoder does not change.

    An existing head is replaced.

    Args:
        text_encoder: Tokenizer and encoder, with a head or without.
        dim: The number of outputs per text.
        kernel: float32 `(vector_dim, dim)`. Default: random.
        bias: float32 `(dim,)`. Default: 0.
        seed: The seed of a random kernel. Default: 0.

    Raises:
        InputError: if the encoder is not tfchain's own, and Keras cannot copy it.
    """
    body = strip_head(text_encoder)
    encoder = body.own_encoder
    width = body.embedding_dim
    if kernel is None:
        kernel = np.array(keras.initializers.GlorotUniform(seed=seed)((width, dim)))
    bias = np.zeros(dim) if bias is None else bias
    if isinstance(encoder, Encoder):
        head = DenseConfig(in_dim=width, out_dim=dim, activation="linear")
        made: keras.Model = Encoder(dataclasses.replace(encoder.config, head=head), name=encoder.name)
        made.set_weights([*encoder.get_weights(), kernel, bias])
    else:
        copy = _clone(encoder)
        outputs = keras.layers.Dense(dim, name=HEAD, dtype="float32")(copy.output)
        made = keras.Model(copy.input, outputs, name=encoder.name)
        made.get_layer(HEAD).set_weights([kernel, bias])
    return body.with_encoder(SharedModel(made, is_private=isinstance(encoder, Encoder)))


def ensure_head(text_encoder: TextEncoder, dim: int) -> TextEncoder:
    """Returns the text encoder as it is if it ends in a head of `dim` outputs, and with a new head otherwise."""
    if has_head(text_encoder) and text_encoder.embedding_dim == dim:
        return text_encoder
    return add_head(text_encoder, dim)


def strip_head(text_encoder: TextEncoder) -> TextEncoder:
    """Returns the text encoder without its head, so that it outputs vectors; unchanged if it has no head."""
    encoder = text_encoder.own_encoder
    if not has_head(text_encoder):
        return text_encoder
    if isinstance(encoder, Encoder):
        made: keras.Model = Encoder(dataclasses.replace(encoder.config, head=None), name=encoder.name)
        made.set_weights(encoder.get_weights()[: len(made.weights)])
        return text_encoder.with_encoder(SharedModel(made, is_private=True))
    return text_encoder.with_encoder(keras.Model(encoder.input, encoder.get_layer(HEAD).input, name=encoder.name))


def has_head(text_encoder: TextEncoder) -> bool:
    """Returns whether the encoder ends in a head."""
    encoder = text_encoder.own_encoder
    if isinstance(encoder, Encoder):
        return encoder.config.head is not None
    last = encoder.layers[-1] if encoder.layers else None
    return isinstance(last, keras.layers.Dense) and last.name == HEAD


def _clone(encoder: keras.Model) -> keras.Model:
    try:
        copy = keras.models.clone_model(encoder)
        copy.set_weights(encoder.get_weights())
        copy.output  # noqa: B018 - only a functional model has one
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            "A head needs a functional Keras model. "
            f"Received: {type(encoder).__name__}, which Keras cannot copy: {str(error).splitlines()[0][:200]}."
        ) from error
    return copy
