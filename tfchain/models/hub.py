"""Backbones of keras-hub as encoders: the one door to that package, which the extra `hub` installs."""

from typing import Any

import keras
from keras import ops

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.models.encoders.config import PoolingConfig
from tfchain.models.encoders.pooling import Normalize, Pooling


def wrap_backbone(
    backbone: keras.Model, *, pooling: PoolingConfig | None = None, normalize: bool = True, name: str = "encoder"
) -> keras.Model:
    """Makes an encoder of a keras-hub backbone, for architectures that tfchain has no layers for.

    For BERT, DistilBERT, RoBERTa, XLM-RoBERTa and MPNet, `tfchain.AutoModel` is the better choice: it is faster, and
    exact where keras-hub's BERT uses an approximate gelu.

    Args:
        backbone: A `keras_hub.models.Backbone` for text, with the inputs `token_ids`, `padding_mask` and, where it has
            them, `segment_ids` (zeros are given).
        pooling: How token vectors become one. Default: the mean; take `lasttoken` for a decoder.
        normalize: Whether vectors get length one. Default: True.
        name: The model's name. Default: `encoder`.

    Returns:
        A Keras model from a dict of `token_ids` and `padding_mask`, int32 `(batch, length)`, to `(batch, dim)`.

    Raises:
        InputError: if the model has other inputs, or no token vectors among its outputs.

    Example:
        >>> backbone = keras_hub.models.Backbone.from_preset("hf://FacebookAI/roberta-base")
        >>> chain = NeuralSearchChain(tokenizer="FacebookAI/roberta-base", model=wrap_backbone(backbone))
    """
    wanted = getattr(backbone, "input", None)
    wanted = wanted if isinstance(wanted, dict) else {}
    unknown = sorted(set(wanted) - {"token_ids", "padding_mask", "segment_ids"})
    if "token_ids" not in wanted or unknown:
        raise InputError(
            "A backbone for text takes a dict of `token_ids`, `padding_mask` and perhaps `segment_ids`. "
            f"Received: {type(backbone).__name__} with the inputs {sorted(wanted) or 'that are not a dict'}."
        )
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
    given = {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": ops.zeros_like(token_ids)}
    outputs: Any = backbone({key: given[key] for key in wanted})
    hidden = outputs.get("sequence_output") if isinstance(outputs, dict) else outputs
    if hidden is None or len(hidden.shape) != 3:
        raise InputError(
            "A backbone for text gives token vectors `(batch, length, dim)`, alone or as `sequence_output`. "
            f"Received: {type(backbone).__name__}, which gives {outputs}."
        )
    config = pooling or PoolingConfig()
    pooled = Pooling(config.modes, name="pooling", dtype="float32")(hidden, padding_mask)
    if normalize:
        pooled = Normalize(name="normalize", dtype="float32")(pooled)
    return keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, pooled, name=name)


def load_backbone(preset: str) -> keras.Model:
    """Reads a backbone by its keras-hub preset: a folder, a Kaggle handle, or `hf://…`.

    Raises:
        MissingPackageError: if keras-hub is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise MissingPackageError(
            "Reading a backbone needs the package keras-hub. Install it with `pip install tfchain[hub]`."
        ) from error
    return keras_hub.models.Backbone.from_preset(preset)
