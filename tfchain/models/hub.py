"""Encoders from keras-hub backbones: the one door to that package, which the extra `hub` installs."""

from typing import Any

import keras
from keras import ops

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.models.encoders.config import PoolingConfig
from tfchain.models.encoders.pooling import Normalize, Pooling


def wrap_backbone(
    backbone: keras.Model, *, pooling: PoolingConfig | None = None, normalize: bool = True, name: str = "encoder"
) -> keras.Model:
    """Makes an encoder from a keras-hub backbone, for architectures that tfchain has no layers for.

    For what `tfchain.AutoModel` reads (docs/architectures.md), use that instead: it is faster, and exact, while
    keras-hub's BERT uses an approximate gelu.

    Args:
        backbone: A `keras_hub.models.Backbone` for text, with the inputs `token_ids`, `padding_mask` and, optionally,
            `segment_ids` (which are set to zeros).
        pooling: How token vectors are pooled. Default: their mean; use `lasttoken` for a decoder.
        normalize: Whether vectors are scaled to length one. Default: True.
        name: The model's name. Default: `encoder`.

    Returns:
        A Keras model from a dict of `token_ids` and `padding_mask`, int32 `(batch, length)`, to `(batch, dim)`.

    Raises:
        InputError: if the backbone has other inputs, or does not return token vectors.

    Example:
        >>> backbone = keras_hub.models.Backbone.from_preset("hf://FacebookAI/roberta-base")
        >>> chain = NeuralSearchChain(tokenizer="FacebookAI/roberta-base", model=wrap_backbone(backbone))
    """
    inputs = getattr(backbone, "input", None)
    inputs = inputs if isinstance(inputs, dict) else {}
    unknown = sorted(set(inputs) - {"token_ids", "padding_mask", "segment_ids"})
    if "token_ids" not in inputs or unknown:
        raise InputError(
            "A backbone for text must take a dict of `token_ids`, `padding_mask` and optionally `segment_ids`. "
            f"Received: {type(backbone).__name__} with the inputs {sorted(inputs) or 'that are not a dict'}."
        )
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
    tensors = {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": ops.zeros_like(token_ids)}
    outputs: Any = backbone({name: tensors[name] for name in inputs})
    hidden = outputs.get("sequence_output") if isinstance(outputs, dict) else outputs
    if hidden is None or len(hidden.shape) != 3:
        raise InputError(
            "A backbone for text must return token vectors `(batch, length, dim)`, or a dict with `sequence_output`. "
            f"Received: {type(backbone).__name__}, which returns {outputs}."
        )
    config = pooling or PoolingConfig()
    pooled = Pooling(config.modes, name="pooling", dtype="float32")(hidden, padding_mask)
    if normalize:
        pooled = Normalize(name="normalize", dtype="float32")(pooled)
    return keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, pooled, name=name)


def load_backbone(preset: str) -> keras.Model:
    """Loads a backbone by its keras-hub preset: a folder, a Kaggle handle, or `hf://…`.

    Raises:
        MissingPackageError: if keras-hub is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise MissingPackageError(
            "Loading a backbone needs the package keras-hub. Install it with `pip install tfchain[hub]`."
        ) from error
    return keras_hub.models.Backbone.from_preset(preset)
