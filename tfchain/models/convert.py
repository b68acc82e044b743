"""Converts any kind of model that a user can pass to a Keras encoder."""

from pathlib import Path
from typing import Any

import keras

from tfchain.core.errors import InputError
from tfchain.models.weights.download import find_model
from tfchain.models.weights.pretrained import convert_torch, load_encoder


def to_encoder(model: Any) -> keras.Model:
    """Makes a Keras encoder from a model, a folder or a hub name.

    Args:
        model: A Keras model from `token_ids` and `padding_mask` to `(batch, dim)`, which is returned as it is; a
            transformers PyTorch model, which is converted; a folder or a hub name.

    Raises:
        InputError: if the model is of another type, or a Keras model with other inputs or outputs.
    """
    if isinstance(model, str | Path):
        return load_encoder(find_model(model)[1])
    if isinstance(model, keras.Model):
        check_encoder(model)
        return model
    if hasattr(model, "state_dict") and hasattr(model, "config"):
        return convert_torch(model)
    raise InputError(
        "`model` must be a Keras encoder, a transformers model, a folder or a hub name. "
        f"Received: {type(model).__name__}. Load one with tfchain.AutoModel.from_pretrained."
    )


def check_encoder(model: keras.Model) -> None:
    """Checks that a Keras model is an encoder of token ids.

    Raises:
        InputError: if its inputs are not `token_ids` and `padding_mask`, or its output is not `(batch, dim)`.
    """
    inputs = getattr(model, "input", None)
    inputs = inputs if isinstance(inputs, dict) else {}
    shape = tuple(getattr(model, "output_shape", None) or ()) if inputs else ()
    if set(inputs) != {"token_ids", "padding_mask"} or len(shape) != 2 or shape[-1] is None:
        raise InputError(
            "A Keras encoder must take a dict of `token_ids` and `padding_mask` and return `(batch, dim)`. "
            f"Received: the inputs {sorted(inputs) or 'are not a dict'}, the output shape is {shape}. "
            "Wrap a keras-hub backbone with tfchain.models.hub.wrap_backbone."
        )
