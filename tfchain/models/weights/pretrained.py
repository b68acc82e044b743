"""Makes encoders from model folders, of which only safetensors are read, and from PyTorch models."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.weights.folder import ModelFolder
from tfchain.models.weights.folder_kind import find_other_architecture
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.weight_maps import to_weights


def load_encoder(folder: ModelFolder) -> Encoder:
    """Makes the encoder that a folder describes, with its weights.

    Args:
        folder: The result of `read_folder`.

    Raises:
        ModelFolderError: if weights are missing, left over, or not in safetensors.
    """
    stored = StoredEncoder(folder)
    return make_encoder(stored.config, stored.items())


def make_encoder(config: EncoderConfig, weights: Iterable[tuple[str, np.ndarray]]) -> Encoder:
    """Makes the Keras model of a configuration.

    Args:
        config: The encoder's shape.
        weights: Every weight's path and array, in any order.
    """
    encoder = make_blank_encoder(config)
    set_weights(encoder, weights)
    return encoder


def convert_torch(model: Any) -> Encoder:
    """Makes an encoder from a Hugging Face PyTorch model in memory, with mean pooling.

    Args:
        model: A `transformers` PyTorch model of an architecture that tfchain supports.

    Raises:
        ModelFolderError: if the architecture is not supported, or the model is not an encoder but, say, a reranker.
    """
    other_kind = find_other_architecture({"architectures": [type(model).__name__]}, Path("the model"))
    if other_kind is not None:
        raise ModelFolderError(
            f"A PyTorch model must be an encoder or a language model. Received: {type(model).__name__}, which is "
            f"{other_kind}. Load only the encoder, with transformers.AutoModel."
        )
    from tfchain.models.weights.folder import to_transformer_config

    transformer = to_transformer_config(model.config.to_dict(), Path(str(model.config.name_or_path or "the model")))
    tensors = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
    return make_encoder(EncoderConfig(transformer=transformer), to_weights(transformer, tensors))


def set_weights(encoder: Encoder, weights: Iterable[tuple[str, np.ndarray]]) -> None:
    """Sets an encoder's weights by path; raises if an array has the wrong shape, or a weight has no array."""
    left = {variable.path: variable for variable in encoder.weights}
    for path, array in weights:
        variable = left.pop(path)
        if tuple(array.shape) != tuple(variable.shape):
            raise ModelFolderError(
                f"The tensor for {path} must have the shape {tuple(variable.shape)}. "
                f"Received: {tuple(array.shape)}. Check that config.json and the safetensors file belong together."
            )
        variable.assign(array)
    if left:
        raise ModelFolderError(f"There is no tensor for {', '.join(left)}. Get the folder again.")
