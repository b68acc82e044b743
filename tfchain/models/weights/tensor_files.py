"""Tensors in safetensors files, read one at a time from files that stay open."""

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
INT8_WEIGHTS = "model.int8.safetensors"  # a name that others do not read: they would take the numbers for weights
KERNEL_WEIGHTS = "model.kernels.safetensors"  # int8 as the project's own kernels take it, beside the float ones
LARGEST_HEADER = 100_000_000  # bytes, as in the safetensors library
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip


class TensorFile:
    """One safetensors file.

    It is opened at once and read when a tensor is asked for, so that tensors can still be read when a newer file has
    taken its place. It is not mapped into memory: a file that is cut off while it is mapped ends the process.

    Args:
        path: The file.

    Raises:
        ModelFolderError: if it cannot be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._explain(os.strerror(error.errno or 0)) from error
        weakref.finalize(self, os.close, self._handle)
        self.state = self._look()
        self._start, self._tensors = self._read_header()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        """Names of the tensors, in the file's order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return tuple(self._tensors[name]["shape"])

    def read(self, name: str) -> np.ndarray:
        """A tensor of the type that it is stored in; bfloat16 as float32.

        Raises:
            ModelFolderError: if the file has been changed since it was opened, or has such a type that NumPy lacks.
        """
        values = self._tensors[name]
        begin = values["data_offsets"][0]
        array = np.empty(values["shape"], dtype=TYPES[values["dtype"]])
        self._read_into(array.reshape(-1).view("u1").data, self._start + begin)
        if self._look() != self.state:
            raise self._explain("it has been written to since it was opened")
        if values["dtype"] == "BF16":
            return (array.astype("uint32") << 16).view("float32")
        return array

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._handle)
        return found.st_size, found.st_mtime_ns

    def _read_header(self) -> tuple[int, dict[str, Any]]:
        size = self.state[0]
        if size < 8:
            raise self._explain(f"it has {size} bytes and no header")
        length = struct.unpack("<Q", os.pread(self._handle, 8, 0))[0]
        if length > min(LARGEST_HEADER, size - 8):
            raise self._explain(f"its header claims {length} bytes of a file of {size}")
        header = bytearray(length)
        self._read_into(memoryview(header), 8)
        try:
            tensors: dict[str, Any] = json.loads(header)
            tensors.pop("__metadata__", None)
            self._check(tensors, size - 8 - length)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._explain(f"its header is damaged ({type(error).__name__}: {error})") from error
        return 8 + length, tensors

    def _check(self, tensors: dict[str, Any], size: int) -> None:
        """Stops tensors that are of an unknown type, or do not fill the file one after the other."""
        place = 0
        for name, values in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = values["data_offsets"]
            if values["dtype"] not in TYPES:
                raise self._explain(f"the tensor {name} has the type {values['dtype']}, which NumPy lacks")
            length = math.prod(values["shape"]) * np.dtype(TYPES[values["dtype"]]).itemsize
            if begin != place or end != begin + length or min(values["shape"], default=0) < 0:
                raise self._explain(f"the tensor {name} is not where the header says")
            place = end
        if place != size:
            raise self._explain(f"expected {place} bytes of tensors, received {size}")

    def _read_into(self, place: memoryview, offset: int) -> None:
        done = 0
        while done < len(place):
            count = os.preadv(self._handle, [place[done:]], offset + done)
            if not count:
                raise self._explain("it ends before its last tensor")
            done += count

    def _explain(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Get the file again.")


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
        self._homes: dict[str, TensorFile] = {}
        index = path / f"{WEIGHTS}.index.json"
        own = INT8_WEIGHTS if (path / INT8_WEIGHTS).is_file() else WEIGHTS
        names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [own]
        for name in names:
            self._check_is_there(name)
            file = TensorFile(path / name)
            self._homes.update(dict.fromkeys(file.names, file))

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._find(name).read(name)
        scale = name + SCALE
        return dequantize(array, self._homes[scale].read(scale)) if scale in self._homes else array

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without reading it."""
        return self._find(name).shape(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._homes if not name.endswith(SCALE))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, name: str) -> TensorFile:
        if name not in self._homes:
            raise ModelFolderError(
                f"{self.path} lacks the tensor {name}; it has {', '.join(sorted(self._homes))}. Get the folder again."
            )
        return self._homes[name]

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


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a safetensors file that PyTorch and transformers read."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    # Its own save_file makes files that nobody else may read, and hides a full disk behind an error of its own.
    path.write_bytes(save(arrays, metadata={"format": "pt"}))
