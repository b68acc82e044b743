"""Encoders from folders and back: weights are read from safetensors only, and written for sentence-transformers."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import HEAD, Encoder, make_blank_encoder
from tfchain.models.weights.folder import ModelFolder, read_json
from tfchain.models.weights.folder_kind import find_other_architecture
from tfchain.models.weights.stored_weights import SCALE, dequantize
from tfchain.models.weights.weight_maps import to_weights

WEIGHTS = "model.safetensors"
INT8_WEIGHTS = "model.int8.safetensors"  # a name that others do not read: they would take the numbers for weights


def load_encoder(folder: ModelFolder) -> Encoder:
    """Makes the encoder that a folder describes, with its weights.

    Args:
        folder: What `read_folder` gave.

    Raises:
        ModelFolderError: if weights are missing, left over, or not in safetensors.
    """
    transformer = to_weights(folder.encoder.transformer, TensorFiles(folder.transformer_path), heads=folder.heads)
    encoder = make_blank_encoder(folder.encoder)
    set_weights(encoder, itertools.chain(transformer, _dense_weights(folder)))
    return encoder


def _dense_weights(folder: ModelFolder) -> Iterator[tuple[str, np.ndarray]]:
    config = folder.encoder
    modules = {f"dense_{number}": dense for number, dense in enumerate(config.dense)}
    modules |= {} if config.head is None else {HEAD: config.head}
    for path, (name, dense) in zip(folder.dense_paths, modules.items(), strict=True):
        tensors = TensorFiles(path)
        unread = sorted(set(tensors) - {"linear.weight", *(["linear.bias"] if dense.use_bias else [])})
        if unread:
            raise ModelFolderError(
                f"The Dense module in {path} has tensors that nothing reads: {', '.join(unread)}. "
                "Check that its config.json and its safetensors file belong together."
            )
        yield f"{name}/kernel", np.asarray(tensors["linear.weight"], dtype="float32").T
        if dense.use_bias:
            yield f"{name}/bias", np.asarray(tensors["linear.bias"], dtype="float32")


def convert_torch(model: Any) -> Encoder:
    """Makes an encoder of a Hugging Face PyTorch model in memory, with mean pooling.

    Args:
        model: A `transformers` PyTorch model of an architecture that tfchain has.

    Raises:
        ModelFolderError: if the architecture is another one, or the model is no encoder, such as a reranker.
    """
    other = find_other_architecture({"architectures": [type(model).__name__]}, Path("the model"))
    if other is not None:
        raise ModelFolderError(
            f"A PyTorch model must be an encoder or a language model. Received: {type(model).__name__}, which is "
            f"{other}. Load the encoder alone with transformers.AutoModel."
        )
    from tfchain.models.weights.folder import to_transformer_config

    transformer = to_transformer_config(model.config.to_dict(), Path(str(model.config.name_or_path or "the model")))
    tensors = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
    encoder = make_blank_encoder(EncoderConfig(transformer=transformer))
    set_weights(encoder, to_weights(transformer, tensors))
    return encoder


def set_weights(encoder: Encoder, weights: Iterable[tuple[str, np.ndarray]]) -> None:
    """Puts arrays into an encoder's weights, by path; every weight must get one, of the right shape."""
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


class TensorFiles(Mapping[str, np.ndarray]):
    """A folder's safetensors file, or the shards that its index names, as name → array; each is read when asked for.

    What was stored as int8 with scales (`models.weights.stored_weights`) comes as float32.

    Args:
        path: The folder.

    Raises:
        ModelFolderError: if there is none, or if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._homes: dict[str, Path] = {}
        index = path / f"{WEIGHTS}.index.json"
        own = INT8_WEIGHTS if (path / INT8_WEIGHTS).is_file() else WEIGHTS
        names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [own]
        for name in names:
            self._check_is_there(name)
            with self._open(path / name) as file:
                self._homes.update(dict.fromkeys(file.keys(), path / name))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._homes:
            raise ModelFolderError(
                f"{self.path} lacks the tensor {name}; it has {', '.join(sorted(self._homes))}. Get the folder again."
            )
        array = self._read(name)
        return dequantize(array, self._read(name + SCALE)) if name + SCALE in self._homes else array

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._homes if not name.endswith(SCALE))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self, name: str) -> np.ndarray:
        # Opened anew each time: an open file keeps every page it has read in the process's memory.
        with self._open(self._homes[name]) as file:
            return file.get_tensor(name)

    def _check_is_there(self, name: str) -> None:
        if not (self.path / name).is_file():
            others = sorted(found.name for found in self.path.glob("*.bin"))
            raise ModelFolderError(
                f"{self.path} has no {name}, so there are no weights to read."
                + (
                    f" {', '.join(others)} is a pickle, which may run code, and is not read: save"
                    if others
                    else " Save"
                )
                + " the model with transformers' or sentence-transformers' save_pretrained, which writes safetensors."
            )

    @contextlib.contextmanager
    def _open(self, path: Path) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                yield file
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise ModelFolderError(f"{path} cannot be read: {error}. Get the file again.") from error
