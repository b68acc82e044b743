"""Finds what the project's own kernels do not support in a Keras model."""

from typing import Any

import keras
import numpy as np

from tfchain.models.encoders.anatomy import LAYER_NORM, LAYER_NORM_EPSILON
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.general.attention import GroupedAttention
from tfchain.models.encoders.general.embeddings import TokenEmbeddings
from tfchain.models.encoders.general.layer import GeneralLayer
from tfchain.models.encoders.general.norms import RMSNorm
from tfchain.models.encoders.general.shared_inputs import PositionBias, RotaryTable
from tfchain.models.encoders.layer_mean import LayerMean
from tfchain.models.encoders.pooling import Normalize, Pooling
from tfchain.models.encoders.rows import Dropout, EmbeddingTable
from tfchain.models.encoders.token_layers import TokenMatrix
from tfchain.models.encoders.transformer import (
    AttentionMask,
    LayerNorm,
    RelativePositionBias,
    SelfAttention,
    TransformerEmbeddings,
    TransformerLayer,
    make_activation,
)

LAYERS = (
    *(keras.layers.InputLayer, keras.layers.Dense, keras.layers.Embedding, EmbeddingTable),
    *(keras.layers.Dropout, Dropout),
    LayerNorm,
    *(AttentionMask, RelativePositionBias, SelfAttention, TransformerEmbeddings, TransformerLayer, Pooling, Normalize),
    *(GeneralLayer, GroupedAttention, PositionBias, RMSNorm, RotaryTable, TokenEmbeddings, TokenMatrix),
    LayerMean,  # of which `find_obstacle_of_shape` says that they do not compute it
)


def find_obstacle_of_model(encoder: keras.Model) -> str | None:
    """Returns why the kernels cannot run a Keras model on any processor; None if they can."""
    if type(encoder) is not Encoder:
        return f"the model is a {type(encoder).__name__}, not one of tfchain's own encoders"
    for layer in encoder._flatten_layers(include_self=False):
        obstacle = _find_obstacle_of_layer(layer, encoder)
        if obstacle is not None:
            return f"its layer {layer.path} {obstacle}"
    if not all(np.isfinite(np.asarray(weight)).all() for weight in encoder.weights):
        return "not all of its weights are finite"
    return None


def _find_obstacle_of_layer(layer: Any, encoder: Encoder) -> str | None:
    config = encoder.config.transformer
    if type(layer) not in LAYERS and layer is not encoder.backbone:
        return f"is of the class {type(layer).__name__}"
    if getattr(layer, "quantization_mode", None) is not None:
        return "has been quantized by Keras"
    if isinstance(layer, TransformerLayer) and layer.intermediate.activation is not make_activation(config.activation):
        return "does not have the configuration's activation"
    if isinstance(layer, GeneralLayer) and layer.activation != config.activation:
        return "does not have the configuration's activation"
    if isinstance(layer, LayerNorm) and layer.name.startswith(LAYER_NORM):
        return None if layer.epsilon == LAYER_NORM_EPSILON else "does not have the module's epsilon"
    if isinstance(layer, LayerNorm | RMSNorm) and layer.epsilon != config.norm_epsilon:
        return "does not have the configuration's epsilon"
    return None
