"""An encoder's weights, their order and shapes, and their fingerprint, derived from its configuration."""

import json
from collections.abc import Mapping

import numpy as np

from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.encoders.blocks import BLOCKS
from tfchain.models.encoders.blocks.block import Block
from tfchain.models.encoders.config import HEAD, DenseConfig, EncoderConfig, TransformerConfig

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
    for name, dense in list_dense(config):
        shapes[f"{name}/kernel"] = (dense.in_dim, dense.out_dim)
        if dense.use_bias:
            shapes[f"{name}/bias"] = (dense.out_dim,)
    return shapes


def list_transformer_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a transformer's weights by path, in the order of the Keras model's `weights`.

    Args:
        config: The transformer's shape.
    """
    block = find_block(config)
    shapes = dict(block.list_shapes(config))
    for number in range(config.num_layers):
        shapes |= {f"{name_layer(number)}/{part}": shape for part, shape in block.list_layer_shapes(config, number)}
    return shapes


def list_dense(config: EncoderConfig) -> list[tuple[str, DenseConfig]]:
    """Returns the dense modules by name, in order: those after the pooling, then the task's head."""
    modules = [(f"dense_{number}", dense) for number, dense in enumerate(config.dense)]
    return modules if config.head is None else [*modules, (HEAD, config.head)]


def fingerprint_weights(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> str:
    """Returns what `fingerprint_model` gives for the Keras model of this configuration in float32, without making it.

    Args:
        config: The encoder's shape.
        weights: Path → float32 array; each is read once.

    Returns:
        64 hexadecimal digits.
    """
    num_layers = OTHER_LAYERS + find_block(config.transformer).count_keras_layers(config.transformer)
    num_layers += len(list_dense(config)) + config.normalize
    values = {"model": json.dumps(config.to_dict(), sort_keys=True), "types": ["float32"] * num_layers}
    return make_fingerprint(values, ((f"{number}", weights[path]) for number, path in enumerate(list_shapes(config))))
