"""Rematerialisation: layers drop their activations and compute them again for the gradients."""

from typing import Any

import keras
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.encoders.transformer import BlockLayer
from tfchain.training.fit.gradients import find_seed_generators


def add_remat(model: keras.Model) -> None:
    """Makes each transformer layer of a model keep only its input for the gradients (Chen et al. 2016).

    Keras' own `RematScope` fails in a graph on layers that take `training`, and draws new dropout masks when it
    computes a layer again; this function resets the generators first.

    Args:
        model: A model with `BlockLayer`s; they are changed in place.

    Raises:
        InputError: if the model has none.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, BlockLayer)]
    if not layers:
        raise InputError("`remat` needs a model with transformer layers of tfchain. Received: none. Leave it out.")
    for layer in layers:
        _wrap(layer)


def _wrap(layer: BlockLayer) -> None:
    call = layer.call
    generators = find_seed_generators(layer)

    def call_again(hidden: Any, bias: Any, token_ids: Any = None, training: bool = False) -> Any:
        if not training:
            return call(hidden, bias, token_ids, training=False)
        states = [tf.identity(generator.state.value) for generator in generators]

        def forward(hidden: Any, bias: Any) -> Any:
            for generator, state in zip(generators, states, strict=True):
                generator.state.assign(state)
            return call(hidden, bias, token_ids, training=True)

        return tf.recompute_grad(forward)(hidden, bias)

    layer.call = call_again  # type: ignore[method-assign]
