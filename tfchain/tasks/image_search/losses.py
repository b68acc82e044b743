"""The losses of two towers: the in-batch softmax (CLIP) and the sigmoid loss (SigLIP)."""

from typing import Any, Literal, get_args

import keras
from keras import ops

from tfchain.core.errors import InputError

LossName = Literal["softmax", "sigmoid"]


def softmax_loss(logits: Any, masked: Any = None) -> Any:
    """Computes the mean of both directions' cross-entropies over a batch (Radford et al. 2021, CLIP).

    Args:
        logits: float32 `(pictures, texts)`; row and column of a pair have the same number.
        masked: Booleans of the same shape: pairs that are no negatives, such as two pictures with the same caption.
            Default: none.

    Returns:
        A scalar.
    """
    if masked is not None:
        logits = ops.where(masked, -1e9, logits)
    right = ops.diagonal(logits)
    of_images = ops.mean(ops.logsumexp(logits, axis=1) - right)
    of_texts = ops.mean(ops.logsumexp(logits, axis=0) - right)
    return (of_images + of_texts) / 2


def sigmoid_loss(logits: Any, masked: Any = None) -> Any:
    """Computes the sigmoid loss: each pair is judged alone (Zhai et al. 2023, SigLIP).

    Args:
        logits: float32 `(pictures, texts)`, with a learned bias.
        masked: As in `softmax_loss`. Default: none.

    Returns:
        A scalar: the sum over all pairs, divided by the number of pictures.
    """
    count = ops.shape(logits)[0]
    signs = 2.0 * ops.eye(count, dtype=logits.dtype) - 1.0
    terms = ops.softplus(-signs * logits)
    if masked is not None:
        terms = ops.where(masked, 0.0, terms)
    return ops.sum(terms) / ops.cast(count, logits.dtype)


LOSSES = {"softmax": softmax_loss, "sigmoid": sigmoid_loss}


def choose_loss(loss: Any, *, has_bias: bool) -> LossName:
    """Returns the name of the loss to train with.

    Args:
        loss: A name, or None for the one that suits the model.
        has_bias: Whether the model has the bias that the sigmoid loss learns.

    Raises:
        InputError: if it is unknown, or does not suit the model.
    """
    if loss is None:
        return "sigmoid" if has_bias else "softmax"
    if loss not in get_args(LossName):
        raise InputError(
            f"`loss` of an image search must be one of {', '.join(get_args(LossName))}. Received: {loss!r:.80}.",
            argument="loss",
        )
    if loss == "sigmoid" and not has_bias:
        raise InputError(
            "The sigmoid loss needs a model with a bias, of the family 'siglip'. Received: loss='sigmoid' for a model "
            "without one. Use loss='softmax'.",
            argument="loss",
        )
    name: LossName = loss
    return name


def find_masked(captions: Any) -> Any:
    """Returns the pairs that are no negatives: other pictures with the same caption.

    Args:
        captions: The number of each picture's caption, int32 `(batch,)`.

    Returns:
        Booleans `(batch, batch)`.
    """
    same = ops.equal(captions[:, None], captions[None, :])
    return ops.logical_and(same, ops.logical_not(ops.cast(ops.eye(ops.shape(captions)[0]), "bool")))


def check_augmentation(layers: Any) -> tuple[keras.layers.Layer, ...]:
    """Returns layers that change pictures in training.

    Raises:
        InputError: if one is not a Keras layer.
    """
    layers = tuple(layers)
    for layer in layers:
        if not isinstance(layer, keras.layers.Layer):
            raise InputError(
                f"`augmentation` must be a list of Keras layers, such as keras.layers.RandomFlip('horizontal'). "
                f"Received: {layer!r:.80}."
            )
    return layers
