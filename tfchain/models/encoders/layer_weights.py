"""The weights of a mean over a transformer's layers, checked."""

import math
from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError


def check_layer_weights(weights: Sequence[float], num_layers: int) -> tuple[float, ...]:
    """Returns the weights of a mean over layers as float32 has them, so that they are the same after saving.

    Args:
        weights: The weight of the embeddings' output, then of each layer's output; empty for none.
        num_layers: The number of layers; 0 for a static encoder, which has no layers to average.

    Raises:
        InputError: if they are not numbers, their number is not `num_layers + 1`, one is not finite, or there is no
            mean because they add up to 0.
    """
    try:
        with np.errstate(over="ignore"):  # infinity is an error below
            made = tuple(float(np.float32(weight)) for weight in weights)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`layer_weights` must be numbers. Received: layer_weights={weights!r:.200}.", argument="layer_weights"
        ) from error
    if not made:
        return ()
    if len(made) != num_layers + 1 or not num_layers:
        raise InputError(
            "`layer_weights` must be empty, or have a weight for the embeddings' output and one for each layer's, "
            f"{num_layers + 1}; a static encoder has none. Received: {len(made)} weights for {num_layers} layers.",
            argument="layer_weights",
        )
    if not all(map(math.isfinite, made)) or not sum(made):
        raise InputError(
            "`layer_weights` must be finite, and not add up to 0: their sum divides the mean. "
            f"Received: layer_weights={made!r:.200}.",
            argument="layer_weights",
        )
    return made
