"""A folder with what the int8 kernels need of an encoder, and nothing else: its shape, 8-bit weights, dense heads."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.anatomy import list_shapes, list_transformer_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.engines.kernel_weights import make_kernel_weights, save_kernel_weights
from tfchain.models.weights.tensor_files import KERNEL_WEIGHTS, TensorFile, write_tensors

CONFIG = "encoder.json"
DENSE_WEIGHTS = "dense.safetensors"


class StoredKernels(Mapping[str, np.ndarray]):
    """An encoder in such a folder, as `NativeEncoder` reads it: the weights of its dense heads by path.

    Args:
        path: The folder.

    Raises:
        ModelFolderError: if a file is missing or damaged.

    Attributes:
        config: The encoder's shape.
        kernel_file: The open file of the 8-bit weights.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.config = EncoderConfig.from_dict(json.loads((path / CONFIG).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            raise ModelFolderError(
                f"{path / CONFIG} cannot be read: {type(error).__name__}: {error}. Write the folder again."
            ) from error
        self.kernel_file = TensorFile(path / KERNEL_WEIGHTS)
        shapes = _list_dense_shapes(self.config)
        self._dense: dict[str, np.ndarray] = {}
        if not shapes:
            return
        file = TensorFile(path / DENSE_WEIGHTS)
        for name, shape in shapes.items():
            array = file.read(name) if name in file else None
            if array is None or array.shape != shape or array.dtype != np.float32:
                raise ModelFolderError(
                    f"{file.path} must hold {name} in float32 of the shape {shape}. Write the folder again."
                )
            self._dense[name] = array

    def __getitem__(self, path: str) -> np.ndarray:
        return self._dense[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dense)

    def __len__(self) -> int:
        return len(self._dense)


def save_kernels(path: Path, config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> None:
    """Writes a folder that `StoredKernels` reads.

    Args:
        path: The folder.
        config: The encoder's shape.
        weights: Path → float32 array, with the paths of `list_shapes`.

    Raises:
        NotFiniteError: if a weight is not finite.
    """
    save_kernel_weights(path / KERNEL_WEIGHTS, make_kernel_weights(config, weights))
    dense = {name: np.asarray(weights[name], dtype="float32") for name in _list_dense_shapes(config)}
    if dense:
        write_tensors(path / DENSE_WEIGHTS, dense)
    (path / CONFIG).write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")


def _list_dense_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    transformer = list_transformer_shapes(config.transformer)
    return {name: shape for name, shape in list_shapes(config).items() if name not in transformer}
