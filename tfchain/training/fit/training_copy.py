"""Makes the copy of an encoder that is trained: strategy, data type, dropout, frozen layers, LoRA, remat."""

import dataclasses
from fnmatch import fnmatch
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import InputError, first_line
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.encoders.config import HEAD
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.training.fit.gradients import find_seed_generators
from tfchain.training.fit.remat import add_remat
from tfchain.training.fit.routed import RoutedEncoder


def make_training_copy(
    encoder: keras.Model,
    hyperparameters: Hyperparameters,
    *,
    query_encoder: keras.Model | None = None,
    query_pad_id: int = 0,
) -> keras.Model:
    """Makes an encoder with the same weights for training; call it in the strategy's scope.

    The chain's own encoder was made outside the scope and does not change until the training is over.

    Args:
        encoder: The encoder to start from.
        query_encoder: An encoder of its own for queries: the copy is then a `RoutedEncoder`, whose sides are named
            `documents` and `queries`. Default: none.
        query_pad_id: The id that pads queries. Default: 0.
        hyperparameters: Data type, dropout, frozen layers, LoRA's rank, remat, seed.

    Raises:
        InputError: if a pattern of frozen layers matches none, nothing is left to train, or the model is not one of
            tfchain's and would have to be rebuilt with another data type or dropout.
    """
    if query_encoder is None:
        copy = _copy(encoder, hyperparameters, encoder.name)
    else:
        copy = RoutedEncoder(
            _copy(encoder, hyperparameters, "documents"),
            _copy(query_encoder, hyperparameters, "queries"),
            query_pad_id=query_pad_id,
        )
    for number, generator in enumerate(find_seed_generators(copy)):
        generator.state.assign(np.array([hyperparameters.seed % 2**32, number * 2**20], dtype="uint32"))
    if hyperparameters.lora_rank is not None:
        add_lora(copy, hyperparameters.lora_rank, seed=hyperparameters.seed)
    freeze_layers(copy, tuple(hyperparameters.freeze))
    if hyperparameters.remat:
        add_remat(copy)
    if not copy.trainable_weights:
        raise InputError(
            f"`freeze` leaves nothing to train. Received: freeze={list(hyperparameters.freeze)}. Freeze fewer layers."
        )
    return copy


def _copy(encoder: keras.Model, hyperparameters: Hyperparameters, name: str) -> keras.Model:
    """Returns a copy with the same weights, data type and dropout aside; of tfchain's own with a name."""
    if isinstance(encoder, Encoder):
        copy: keras.Model = _copy_encoder(encoder, hyperparameters, name)
    else:
        wanted = [
            name
            for name, default in (("dtype_policy", "float32"), ("dropout", None))
            if getattr(hyperparameters, name) != default
        ]
        if wanted:
            raise InputError(
                f"`{wanted[0]}` needs one of tfchain's own encoders. Received: {type(encoder).__name__}. "
                "Build the model with it, or leave it out."
            )
        copy = _clone(encoder)
    copy.set_weights(encoder.get_weights())
    return copy


def trained_weights(copy: keras.Model) -> list[np.ndarray]:
    """The copy's weights in the order of the original encoder, with LoRA's matrices merged in."""
    merged = {id(layer._kernel): _merge(layer) for layer in find_products(copy) if layer.lora_enabled}
    extra = {
        id(weight)
        for layer in find_products(copy)
        if layer.lora_enabled
        for weight in (layer.lora_kernel_a, layer.lora_kernel_b)
    }
    kept = [weight for weight in copy.weights if id(weight) not in extra]
    return [np.array(keras.ops.convert_to_numpy(merged.get(id(weight), weight))) for weight in kept]


def _merge(layer: keras.layers.Dense) -> Any:
    # Not `layer.kernel`, which is rounded to the layer's compute dtype.
    addition = keras.ops.matmul(layer.lora_kernel_a, layer.lora_kernel_b)
    return layer._kernel + (layer.lora_alpha / layer.lora_rank) * addition


def add_lora(copy: keras.Model, rank: int, *, seed: int = 0) -> None:
    """Adds Keras' low-rank matrices to the transformer's products and freezes everything else but the heads."""
    sides = [copy.documents, copy.queries] if isinstance(copy, RoutedEncoder) else [copy]
    heads = [
        layer
        for side in sides
        for layer in side.layers
        if layer.name == HEAD or (isinstance(side, Encoder) and layer.name.startswith("dense_"))
    ]
    products = [layer for layer in find_products(copy) if layer not in heads]
    if not products:
        raise InputError("`lora_rank` needs a model with Dense layers. Received: none. Leave it out.")
    for layer in copy._flatten_layers(include_self=False):
        if not list(layer._flatten_layers(include_self=False)) and layer not in heads:
            layer.trainable = layer in products
    for number, layer in enumerate(products):
        layer.enable_lora(rank, a_initializer=keras.initializers.HeUniform(seed=seed + number))
        if layer.bias is not None:
            layer.bias.trainable = False


def freeze_layers(copy: keras.Model, patterns: tuple[str, ...]) -> None:
    """Freezes the layers whose path, or the end of it, matches a pattern.

    Of a `RoutedEncoder`, paths begin with the side: `queries/embeddings` is a layer of one, `embeddings` matches both
    sides' layers, and `documents` is a whole side.
    """
    sides = {"documents": copy.documents, "queries": copy.queries} if isinstance(copy, RoutedEncoder) else {"": copy}
    # A list, not a dict: layers of inner models may have the same path.
    paths = [
        (f"{side}/{layer.path or layer.name}".removeprefix("/"), layer)
        for side, model in sides.items()
        for layer in model._flatten_layers(include_self=False)
    ]
    paths += [(side, model) for side, model in sides.items() if side]
    for pattern in patterns:
        found = [layer for path, layer in paths if fnmatch(path, pattern) or fnmatch(path, f"*/{pattern}")]
        if not found:
            names = ", ".join(
                f"{side}/{layer.name}".removeprefix("/")
                for side, model in sides.items()
                for layer in model.layers
                if layer.weights
            )
            raise InputError(f"`freeze` must match layers. Received: {pattern!r}, which matches none. Layers: {names}.")
        for layer in found:
            layer.trainable = False


def find_products(model: keras.Model) -> list[keras.layers.Dense]:
    """The Dense layers of a model, in order."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]


def _clone(encoder: keras.Model) -> keras.Model:
    try:
        copy = keras.models.clone_model(encoder)
    except (TypeError, ValueError, NotImplementedError) as error:
        copy, why = None, first_line(error)
    else:
        why = "its copy is not built"
    if copy is None or not copy.built:
        raise InputError(
            "The encoder must be a functional Keras model, or of a class that `get_config` can rebuild, because a copy "
            f"of it is trained. Received: {type(encoder).__name__}, which Keras cannot copy: {why}."
        )
    return copy


def _copy_encoder(encoder: Encoder, hyperparameters: Hyperparameters, name: str) -> Encoder:
    config = encoder.config
    rate = hyperparameters.dropout
    if rate is not None:
        transformer = dataclasses.replace(config.transformer, dropout=rate, attention_dropout=rate)

        def change(dense: DenseConfig) -> DenseConfig:
            return dataclasses.replace(dense, dropout=rate) if dense.dropout else dense

        head = None if config.head is None else change(config.head)
        config = dataclasses.replace(config, transformer=transformer, dense=tuple(map(change, config.dense)), head=head)
    return make_blank_encoder(config, name=name, dtype=hyperparameters.dtype_policy)
