"""Tensors of a folder that are computed from several others when they are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Tensors(Protocol):
    """A folder's tensors by name, such as `TensorFiles`: each is read on access."""

    def __getitem__(self, name: str) -> np.ndarray: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading the tensor."""

    def read_blocks(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Reads a tensor some rows at a time, if possible without having it in memory as a whole."""


def iterate_blocks(array: np.ndarray, num_rows: int) -> Iterator[np.ndarray]:
    """Yields an array some rows at a time."""
    return (array[start : start + num_rows] for start in range(0, len(array), num_rows))


class TensorArrays(dict[str, np.ndarray]):
    """Tensors in memory."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape."""
        return self[name].shape

    def read_blocks(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Yields a tensor some rows at a time."""
        return iterate_blocks(self[name], num_rows)


@dataclass(frozen=True)
class Folded:
    """A tensor that is computed of tensors in the folder.

    Args:
        sources: Their names.
        compute: A function of their arrays.
        shape: The shape of what it returns. Default: that of the folder's tensor of the same name.
    """

    sources: Sequence[str]
    compute: Callable[..., np.ndarray]
    shape: tuple[int, ...] | None = None


class FoldedTensors(Mapping[str, np.ndarray]):
    """A folder's tensors, of which some are computed and some are left out.

    Args:
        tensors: The folder's.
        folded: Name → how it is computed, in addition to the folder's names or in the place of one.
        hidden: Names that are left out. Default: none.
    """

    def __init__(self, tensors: Tensors, folded: Mapping[str, Folded], *, hidden: Sequence[str] = ()) -> None:
        self.tensors = tensors
        self.folded = folded
        self._names = [*(name for name in tensors if name not in hidden and name not in folded), *folded]

    def __getitem__(self, name: str) -> np.ndarray:
        made = self.folded.get(name)
        if made is None:
            return self.tensors[name]
        return made.compute(*(self.tensors[source] for source in made.sources))

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading the tensor."""
        made = self.folded.get(name)
        return self.tensors.shape(name) if made is None or made.shape is None else made.shape

    def read_blocks(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Reads a tensor some rows at a time; one that is computed is computed whole."""
        if name in self.folded:
            return iterate_blocks(self[name], num_rows)
        return self.tensors.read_blocks(name, num_rows)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # the mapping's own would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
