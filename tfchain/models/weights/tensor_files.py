"""The files of a folder's weights: tensors are read one at a time from files that stay open."""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folded_tensors import iterate_blocks
from tfchain.models.weights.folder_contents import TORCH_WEIGHTS, list_weight_files
from tfchain.models.weights.open_file import OpenFile
from tfchain.models.weights.stored_weights import SCALE, dequantize
from tfchain.models.weights.tensor_types import TYPES, widen
from tfchain.models.weights.torch_file import TorchFile

KERNEL_WEIGHTS = "model.kernels.safetensors"  # int8 weights for the project's own kernels, beside the float weights
TORCH_ENDING = Path(TORCH_WEIGHTS).suffix
LARGEST_HEADER = 100_000_000  # bytes, as in the safetensors library


class TensorFile(OpenFile):
    """A safetensors file.

    Args:
        path: The file.

    Raises:
        ModelFolderError: if the file cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._start, self._tensors = self._read_header()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        """The names of the tensors, in the file's order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape."""
        return tuple(self._tensors[name]["shape"])

    def dtype(self, name: str) -> str:
        """Returns the name of the type in which a tensor is stored, as NumPy has it; `uint16` for bfloat16."""
        return np.dtype(TYPES[self._tensors[name]["dtype"]]).name

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor in the type in which it is stored; bfloat16 becomes float32.

        Raises:
            ModelFolderError: if the file has been changed since it was opened.
        """
        return self._read(name, self.shape(name), 0)

    def read_rows(self, name: str, rows: slice) -> np.ndarray:
        """Reads some rows of a tensor, from `rows.start` to before `rows.stop`, both within it; see `read`."""
        shape = self.shape(name)
        return self._read(name, (rows.stop - rows.start, *shape[1:]), rows.start * math.prod(shape[1:]))

    def _read(self, name: str, shape: tuple[int, ...], first: int) -> np.ndarray:
        values = self._tensors[name]
        array = np.empty(shape, dtype=TYPES[values["dtype"]])
        begin = values["data_offsets"][0] + first * array.itemsize
        self.read_into(array.reshape(-1).view("u1").data, self._start + begin)
        self.check_unchanged()
        return widen(array, values["dtype"])

    def _read_header(self) -> tuple[int, dict[str, Any]]:
        size = self.size
        if size < 8:
            raise self.make_error(f"it has {size} bytes and no header")
        length = struct.unpack("<Q", self.read_bytes(0, 8))[0]
        if length > min(LARGEST_HEADER, size - 8):
            raise self.make_error(f"its header claims {length} bytes of a file of {size}")
        header = bytearray(length)
        self.read_into(memoryview(header), 8)
        try:
            tensors: dict[str, Any] = json.loads(header)
            tensors.pop("__metadata__", None)
            self._check_tensors(tensors, size - 8 - length)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self.make_error(f"its header is damaged ({type(error).__name__}: {error})") from error
        return 8 + length, tensors

    def _check_tensors(self, tensors: dict[str, Any], size: int) -> None:
        """Raises a `ModelFolderError` if a tensor's type is unknown, or the tensors do not fill the file in order."""
        place = 0
        for name, values in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = values["data_offsets"]
            if values["dtype"] not in TYPES:
                raise self.make_error(f"the tensor {name} has the type {values['dtype']}, which NumPy does not have")
            length = math.prod(values["shape"]) * np.dtype(TYPES[values["dtype"]]).itemsize
            if begin != place or end != begin + length or min(values["shape"], default=0) < 0:
                raise self.make_error(f"the tensor {name} is not where the header says")
            place = end
        if place != size:
            raise self.make_error(f"expected {place} bytes of tensors, received {size}")


class TensorFiles(Mapping[str, np.ndarray]):
    """The tensors of a folder's weights, in one file or in several with an index: name → array, read on access.

    The files are safetensors, or PyTorch's where there are none. Tensors stored as int8 with scales
    (`models.weights.stored_weights`) are returned in float32.

    Args:
        path: The folder.

    Raises:
        ModelFolderError: if a file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, TensorFile | TorchFile] = {}
        for name in list_weight_files(path):
            file = TorchFile(path / name) if name.endswith(TORCH_ENDING) else TensorFile(path / name)
            self._files.update(dict.fromkeys(file.names, file))

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._find(name).read(name)
        scale = name + SCALE
        return dequantize(array, self._files[scale].read(scale)) if scale in self._files else array

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading the tensor."""
        return self._find(name).shape(name)

    def read_blocks(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Reads a tensor some rows at a time; a tensor of PyTorch's files is read whole."""
        file, scale = self._find(name), name + SCALE
        if not isinstance(file, TensorFile):
            yield from iterate_blocks(self[name], num_rows)
            return
        scales = self._files[scale].read(scale) if scale in self._files else None
        count = file.shape(name)[0]
        for start in range(0, count, num_rows):
            rows = slice(start, min(start + num_rows, count))
            block = file.read_rows(name, rows)
            yield block if scales is None else dequantize(block, scales[rows])

    def __contains__(self, name: object) -> bool:
        return name in self._files  # without reading the tensor

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._files if not name.endswith(SCALE))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, name: str) -> TensorFile | TorchFile:
        if name not in self._files:
            raise ModelFolderError(
                f"{self.path} lacks the tensor {name}; it has {', '.join(sorted(self._files))}. Get the folder again."
            )
        return self._files[name]


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a safetensors file that PyTorch and transformers can read."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}  # () stays
    # safetensors' save_file makes files that only their owner can read, and hides a full disk in an error of its own.
    path.write_bytes(save(arrays, metadata={"format": "pt"}))
