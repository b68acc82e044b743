"""An encoder's weights, their order and shapes, and their fingerprint, derived from its configuration."""

import json
from collections.abc import Callable

import numpy as np

from tfchain.core.fingerprint import ArrayBlocks, make_fingerprint
from tfchain.models.encoders.blocks import BLOCKS
from tfchain.models.encoders.blocks.block import Block
from tfchain.models.encoders.config import HEAD, EncoderConfig, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig

LAYER_NORM = "layer_norm"  # the beginning of the names of layer normalisations after the pooling
LAYER_NORM_EPSILON = 1e-5  # of sentence-transformers' LayerNorm, as PyTorch has it
OTHER_LAYERS = 4  # Keras layers beside the transformer's and the heads': two inputs, the pooling and the backbone


def find_block(config: TransformerConfig) -> Block:
    """Returns the block of a transformer's architecture."""
    return BLOCKS[config.architecture]


def name_layer(number: int) -> str:
    """Returns the name of a transformer layer, the first path element of its weights."""
    return f"layer_{number}"


def list_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of an encoder's weights by path, in the order of the Keras model's `weights`.

    Args:
        config: The encoder's shape.
    """
    shapes = list_transformer_shapes(config.transformer)
    modules = dict(list_dense(config))
    width = config.transformer.hidden_dim * len(config.pooling.modes)
    for name in list_modules(config):
        dense = modules.get(name)
        if dense is not None:
            width = dense.out_dim
            shapes[f"{name}/kernel"] = (dense.in_dim, dense.out_dim)
            if dense.use_bias:
                shapes[f"{name}/bias"] = (dense.out_dim,)
        elif name.startswith(LAYER_NORM):
            shapes |= {f"{name}/gamma": (width,), f"{name}/beta": (width,)}
    return shapes


def list_transformer_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a transformer's weights by path, in the order of the Keras model's `weights`.

    Args:
        config: The transformer's shape.
    """
    block = find_block(config)
    shapes = dict(block.list_shapes(config))
    for number in range(config.num_distinct_layers):
        shapes |= {f"{name_layer(number)}/{part}": shape for part, shape in block.list_layer_shapes(config, number)}
    return shapes | dict(block.list_final_shapes(config))


def list_dense(config: EncoderConfig) -> list[tuple[str, DenseConfig]]:
    """Returns the dense modules by name, in order: those after the pooling, then the task's head."""
    modules = [(f"dense_{number}", dense) for number, dense in enumerate(config.dense)]
    return modules if config.head is None else [*modules, (HEAD, config.head)]


def list_dropouts(config: EncoderConfig) -> dict[str, float]:
    """Returns the rates of dropout on the inputs of dense modules and of the task's head, by the module's name."""
    return {name: dense.dropout for name, dense in list_dense(config) if dense.dropout}


def name_dropout(module: str) -> str:
    """Returns the name of the layer that drops a module's inputs."""
    return f"{module}_drop"


def list_modules(config: EncoderConfig) -> list[str]:
    """Returns the names of the layers after the pooling, in order: dense modules, normalisations, and a task's head."""
    names = []
    counts = dict.fromkeys(config.module_order, 0)
    for kind in config.module_order:
        number = counts[kind]
        counts[kind] += 1
        names.append(kind if kind == "normalize" and not number else f"{kind}_{number}")
    return names if config.head is None else [*names, HEAD]


def fingerprint_weights(config: EncoderConfig, read: Callable[[str], np.ndarray | ArrayBlocks]) -> str:
    """Returns what `fingerprint_model` gives for the Keras model of this configuration in float32, without making it.

    Args:
        config: The encoder's shape.
        read: From a path to the float32 array, whole or in blocks; called once for each.

    Returns:
        64 hexadecimal digits.
    """
    num_layers = OTHER_LAYERS + find_block(config.transformer).count_keras_layers(config.transformer)
    num_layers += (
        len(list_modules(config))
        + len(list_dropouts(config))
        + config.transformer.has_token_flags
        + bool(config.transformer.layer_weights)
    )  # the matrix of token vectors is in the pooling's place
    values = {"model": json.dumps(config.to_dict(), sort_keys=True), "types": ["float32"] * num_layers}
    return make_fingerprint(values, ((f"{number}", read(path)) for number, path in enumerate(list_shapes(config))))
