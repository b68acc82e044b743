"""Makes encoders from model folders, and from PyTorch models in memory."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.weights.folded_tensors import TensorArrays
from tfchain.models.weights.folder import ModelFolder
from tfchain.models.weights.folder_kind import find_other_architecture
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.weight_maps import fold_tensors, to_weights


def load_encoder(folder: ModelFolder) -> Encoder:
    """Makes the encoder that a folder describes, with its weights.

    Args:
        folder: The result of `read_folder`.

    Raises:
        ModelFolderError: if weights are missing, left over, or in no file that tfchain reads.
    """
    stored = StoredEncoder(folder)
    return make_encoder(stored.config, stored)


def make_encoder(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> Encoder:
    """Makes the Keras model of a configuration.

    Each variable is made from its array, one after the other, so that memory holds the model and one array: a blank
    model whose variables are then assigned would hold the largest ones twice.

    Args:
        config: The encoder's shape.
        weights: Path → array; each is read once.

    Raises:
        ModelFolderError: if an array has the wrong shape, or a weight has no array.
    """
    errors: list[Exception] = []

    def read(path: str, shape: Sequence[int], dtype: str) -> np.ndarray:
        try:
            if not errors:
                return _check_shape(path, weights[path], tuple(shape))
        except Exception as error:
            errors.append(error)
        return np.zeros(shape, dtype=dtype)  # Keras must initialize all, or it keeps those that are left for later

    with keras.StatelessScope():  # variables are initialized at its end
        encoder = make_blank_encoder(config)
        missing = [variable.path for variable in encoder.weights if variable.path not in weights]
        for variable in encoder.weights:
            variable._initializer = functools.partial(read, variable.path)
        if missing:
            errors.append(ModelFolderError(f"There is no tensor for {', '.join(missing)}. Get the folder again."))
    if errors:
        raise errors[0]
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
    arrays = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
    tensors = fold_tensors(transformer.architecture, TensorArrays(arrays))
    return make_encoder(EncoderConfig(transformer=transformer), dict(to_weights(transformer, tensors)))


def _check_shape(path: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if tuple(array.shape) != shape:
        raise ModelFolderError(
            f"The tensor for {path} must have the shape {shape}. "
            f"Received: {tuple(array.shape)}. Check that config.json and the weights belong together."
        )
    return array
