"""PyTorch's files of weights (`pytorch_model.bin`), read without PyTorch: one tensor at a time, and no code runs."""

from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.open_file import OpenFile
from tfchain.models.weights.tensor_types import TYPES, widen
from tfchain.models.weights.torch_pickle import (
    LARGEST_PICKLE,
    PickleError,
    PickleReader,
    Storage,
    StoredTensor,
)
from tfchain.models.weights.zip_directory import LOCAL, ZipDirectory, ZipError

# What PyTorch wrote before 1.6: pickles of this number, of 1001, of the machine, of the tensors, and of the storages'
# keys, and then the storages, each behind its length.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
OPENING = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of MAGIC


class TorchFile(OpenFile):
    """A file that `torch.save(model.state_dict())` wrote, of PyTorch 1.6 and newer (a zip archive) or older.

    It has the methods of `TensorFile`. The pickle inside is read by a machine that can call nothing
    (`models.weights.torch_pickle`), and every tensor is checked to lie in the file.

    Args:
        path: The file.

    Raises:
        ModelFolderError: if the file cannot be read, is damaged, or holds something other than tensors by name.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            content = self.read_bytes(0, min(self.size, len(OPENING)))
            if content[:4] == LOCAL:
                found, self._places = self._read_archive()
            elif content == OPENING:
                found, self._places = self._read_old()
            elif content[:1] == b"\x80":
                raise PickleError("it is a pickle that PyTorch did not write, and is not read: it may run code")
            else:
                raise PickleError("it is not a file that torch.save wrote")
            self._tensors = self._check_tensors(found)
        except (PickleError, ZipError) as error:
            raise self._make_content_error(str(error)) from error

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        """The names of the tensors, in the file's order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape."""
        return self._tensors[name].shape

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor in the type in which it is stored; bfloat16 becomes float32.

        Raises:
            ModelFolderError: if the file has been changed since it was opened.
        """
        tensor = self._tensors[name]
        dtype = np.dtype(TYPES[tensor.storage.dtype])
        flat = np.empty(tensor.span, dtype=dtype)
        if tensor.span:
            begin = self._places[tensor.storage.key] + tensor.offset * dtype.itemsize
            self.read_into(flat.view("u1").data, begin)
        self.check_unchanged()
        if tensor.is_contiguous or not tensor.span:
            array = flat.reshape(tensor.shape)
        else:
            steps = [stride * dtype.itemsize for stride in tensor.strides]
            array = np.lib.stride_tricks.as_strided(flat, tensor.shape, steps).copy()
        return widen(array, tensor.storage.dtype)

    def _read_archive(self) -> tuple[Any, dict[str, int]]:
        """Returns what the pickle in the archive holds, and the places of the storages that it names."""
        archive = ZipDirectory(self)
        root = archive.names[0].partition("/")[0] if archive.names else ""
        if f"{root}/constants.pkl" in archive:
            raise PickleError("it is a TorchScript program, not weights")
        begin, size = archive.find(f"{root}/data.pkl")
        if size > LARGEST_PICKLE:
            raise PickleError(f"its pickle has {size} bytes, too many for weights")
        if f"{root}/byteorder" in archive:
            order = archive.find(f"{root}/byteorder")
            if order[1] != len(b"little") or self.read_bytes(*order) != b"little":
                raise PickleError("its numbers are stored with the most significant byte first")
        found = PickleReader(self.read_bytes(begin, size)).read()
        places = {}
        for key, storage in _find_storages(found).items():
            places[key], size = archive.find(f"{root}/data/{key}")
            if size != _count_bytes(storage):
                raise PickleError(f"it has {size} bytes for a storage of {storage.length} numbers")
        return found, places

    def _read_old(self) -> tuple[Any, dict[str, int]]:
        """The same for a file of PyTorch before 1.6."""
        reader = PickleReader(self.read_bytes(0, min(self.size, LARGEST_PICKLE)))
        if reader.read() != MAGIC or reader.read() != PROTOCOL:
            raise PickleError("it is of another version of PyTorch's format")
        machine = reader.read()
        if type(machine) is not dict or machine.get("little_endian") is not True:
            raise PickleError("its numbers are stored with the most significant byte first")
        found, keys = reader.read(), reader.read()
        storages = _find_storages(found)
        if type(keys) is not list or any(type(key) is not str for key in keys) or len(set(keys)) != len(keys):
            raise PickleError("it does not list its storages")
        if not storages.keys() <= set(keys):
            raise PickleError("it lacks a storage that its tensors need")
        places, place = {}, reader.position
        for key in keys:
            if key not in storages:
                raise PickleError("it has a storage of unknown type")
            if place + 8 > self.size or int.from_bytes(self.read_bytes(place, 8), "little") != storages[key].length:
                raise PickleError("its storages are not where its pickle says")
            places[key] = place + 8
            place += 8 + _count_bytes(storages[key])
        if place != self.size:
            raise PickleError(f"expected {place} bytes, received {self.size}")
        return found, places

    def _check_tensors(self, found: Any) -> dict[str, StoredTensor]:
        if type(found) is not dict:
            raise PickleError("it holds no tensors by name")
        others = [name for name, value in found.items() if type(value) is not StoredTensor]
        if others:
            raise PickleError(
                f"it holds more than tensors ({', '.join(others)[:100]}), as the state of a training does"
            )
        return found

    def _make_content_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(
            f"{self.path} cannot be read: {reason}. Get the file again, or save the model as safetensors, with "
            "save_pretrained of transformers or sentence-transformers."
        )


def _find_storages(found: Any) -> dict[str, Storage]:
    """Returns the storages of the tensors in a dict, by key."""
    tensors = [value for value in found.values() if type(value) is StoredTensor] if type(found) is dict else []
    storages: dict[str, Storage] = {}
    for tensor in tensors:
        if storages.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise PickleError("it describes a storage in two ways")
    return storages


def _count_bytes(storage: Storage) -> int:
    return storage.length * np.dtype(TYPES[storage.dtype]).itemsize
