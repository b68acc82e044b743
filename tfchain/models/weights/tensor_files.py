"""Safetensors files: tensors are read one at a time from files that stay open."""

import json
import math
import os
import struct
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folder import read_json
from tfchain.models.weights.stored_weights import SCALE, dequantize

WEIGHTS = "model.safetensors"
INT8_WEIGHTS = "model.int8.safetensors"  # other libraries do not look for it: they would take the numbers for weights
KERNEL_WEIGHTS = "model.kernels.safetensors"  # int8 weights for the project's own kernels, beside the float weights
LARGEST_HEADER = 100_000_000  # bytes, as in the safetensors library
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip


class TensorFile:
    """A safetensors file.

    It is opened at once and stays open, so that tensors can still be read after the file has been replaced. It is not
    mapped into memory: truncating a mapped file ends the process.

    Args:
        path: The file.

    Raises:
        ModelFolderError: if the file cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._make_error(os.strerror(error.errno or 0)) from error
        weakref.finalize(self, os.close, self._handle)
        self.state = self._read_state()
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

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor in the type in which it is stored; bfloat16 becomes float32.

        Raises:
            ModelFolderError: if the file has been changed since it was opened.
        """
        values = self._tensors[name]
        begin = values["data_offsets"][0]
        array = np.empty(values["shape"], dtype=TYPES[values["dtype"]])
        self._read_into(array.reshape(-1).view("u1").data, self._start + begin)
        if self._read_state() != self.state:
            raise self._make_error("it has been written to since it was opened")
        if values["dtype"] == "BF16":
            return (array.astype("uint32") << 16).view("float32")
        return array

    def _read_state(self) -> tuple[int, int]:
        found = os.fstat(self._handle)
        return found.st_size, found.st_mtime_ns

    def _read_header(self) -> tuple[int, dict[str, Any]]:
        size = self.state[0]
        if size < 8:
            raise self._make_error(f"it has {size} bytes and no header")
        length = struct.unpack("<Q", os.pread(self._handle, 8, 0))[0]
        if length > min(LARGEST_HEADER, size - 8):
            raise self._make_error(f"its header claims {length} bytes of a file of {size}")
        header = bytearray(length)
        self._read_into(memoryview(header), 8)
        try:
            tensors: dict[str, Any] = json.loads(header)
            tensors.pop("__metadata__", None)
            self._check_tensors(tensors, size - 8 - length)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._make_error(f"its header is damaged ({type(error).__name__}: {error})") from error
        return 8 + length, tensors

    def _check_tensors(self, tensors: dict[str, Any], size: int) -> None:
        """Raises a `ModelFolderError` if a tensor's type is unknown, or the tensors do not fill the file in order."""
        place = 0
        for name, values in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = values["data_offsets"]
            if values["dtype"] not in TYPES:
                raise self._make_error(f"the tensor {name} has the type {values['dtype']}, which NumPy does not have")
            length = math.prod(values["shape"]) * np.dtype(TYPES[values["dtype"]]).itemsize
            if begin != place or end != begin + length or min(values["shape"], default=0) < 0:
                raise self._make_error(f"the tensor {name} is not where the header says")
            place = end
        if place != size:
            raise self._make_error(f"expected {place} bytes of tensors, received {size}")

    def _read_into(self, place: memoryview, offset: int) -> None:
        done = 0
        while done < len(place):
            count = os.preadv(self._handle, [place[done:]], offset + done)
            if not count:
                raise self._make_error("it ends before its last tensor")
            done += count

    def _make_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Get the file again.")


class TensorFiles(Mapping[str, np.ndarray]):
    """The tensors of a folder's safetensors file, or of the shards in its index: name → array, read on access.

    Tensors stored as int8 with scales (`models.weights.stored_weights`) are returned in float32.

    Args:
        path: The folder.

    Raises:
        ModelFolderError: if a file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, TensorFile] = {}
        index = path / f"{WEIGHTS}.index.json"
        single = INT8_WEIGHTS if (path / INT8_WEIGHTS).is_file() else WEIGHTS
        names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [single]
        for name in names:
            self._check_exists(name)
            file = TensorFile(path / name)
            self._files.update(dict.fromkeys(file.names, file))

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._find(name).read(name)
        scale = name + SCALE
        return dequantize(array, self._files[scale].read(scale)) if scale in self._files else array

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading the tensor."""
        return self._find(name).shape(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._files if not name.endswith(SCALE))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, name: str) -> TensorFile:
        if name not in self._files:
            raise ModelFolderError(
                f"{self.path} lacks the tensor {name}; it has {', '.join(sorted(self._files))}. Get the folder again."
            )
        return self._files[name]

    def _check_exists(self, name: str) -> None:
        if not (self.path / name).is_file():
            pickles = sorted(found.name for found in self.path.glob("*.bin"))
            raise ModelFolderError(
                f"{self.path} has no {name}, so there are no weights to read."
                + (
                    f" {', '.join(pickles)} is a pickle, which may run code, and is not read: save"
                    if pickles
                    else " Save"
                )
                + " the model with transformers' or sentence-transformers' save_pretrained, which writes safetensors."
            )


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a safetensors file that PyTorch and transformers can read."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    # safetensors' save_file makes files that only their owner can read, and hides a full disk in an error of its own.
    path.write_bytes(save(arrays, metadata={"format": "pt"}))
