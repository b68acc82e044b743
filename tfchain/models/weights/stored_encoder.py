"""An encoder in a folder: its configuration, and its weights, which are read when they are needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import fingerprint_weights, list_dense, list_shapes
from tfchain.models.encoders.config import DenseConfig
from tfchain.models.weights.folder import ModelFolder
from tfchain.models.weights.tensor_files import TensorFile, TensorFiles
from tfchain.models.weights.weight_maps import join_shapes, join_tensors, match_tensors


class StoredEncoder(Mapping[str, np.ndarray]):
    """The weights of a folder's encoder: path in the Keras model → float32 array, read on access.

    Args:
        folder: The result of `read_folder`.
        fingerprint: The fingerprint of these weights, if it is known. Default: computed when it is needed.
        kernel_path: A file of the same weights for the project's own kernels. Default: no file.

    Raises:
        ModelFolderError: if weights are missing, left over, of the wrong shape, or not in safetensors.

    Attributes:
        config: The encoder's shape.
        kernel_file: The open file for the kernels, or None.
    """

    def __init__(self, folder: ModelFolder, *, fingerprint: str | None = None, kernel_path: Path | None = None) -> None:
        self.config = folder.encoder
        self.kernel_file = None if kernel_path is None else TensorFile(kernel_path)
        tensors = TensorFiles(folder.transformer_path)
        matched = match_tensors(self.config.transformer, tensors, heads=folder.heads)
        self._places = {path: (tensors, names) for path, names in matched.items()}
        for place, (name, dense) in zip(folder.dense_paths, list_dense(self.config), strict=True):
            self._add_dense(place, name, dense)
        self._shapes = list_shapes(self.config)
        for path, shape in self._shapes.items():
            tensors, names = self._places[path]
            found = join_shapes(path, [tensors.shape(name) for name in names])
            if found != shape:
                raise ModelFolderError(
                    f"The tensor for {path} must have the shape {shape}. Received: {found}. "
                    "Check that config.json and the safetensors file belong together."
                )
        self._fingerprint = fingerprint

    def _add_dense(self, place: Path, name: str, dense: DenseConfig) -> None:
        tensors = TensorFiles(place)
        parts = {"kernel": "linear.weight"} | ({"bias": "linear.bias"} if dense.use_bias else {})
        unread = sorted(set(tensors) - set(parts.values()))
        if unread:
            raise ModelFolderError(
                f"The Dense module in {place} has tensors that nothing reads: {', '.join(unread)}. "
                "Check that its config.json and its safetensors file belong together."
            )
        for part, tensor in parts.items():
            self._places[f"{name}/{part}"] = tensors, (tensor,)

    def __getitem__(self, path: str) -> np.ndarray:
        tensors, names = self._places[path]
        return join_tensors(path, [tensors[name] for name in names])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    @property
    def fingerprint(self) -> str:
        """The same value as `fingerprint_model` of the Keras model; reads all weights, once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_weights(self.config, self)
        return self._fingerprint

    @property
    def num_weights(self) -> int:
        """The number of parameters."""
        return sum(int(np.prod(shape)) for shape in self._shapes.values())
