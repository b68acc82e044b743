"""Byte strings in a file, with their offsets in another: a large file is read string by string, a small one is kept."""

import io
import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError

KEPT_BYTES = 32 * 2**20


class StringFile:
    """Strings by row.

    A large file is read each time. It stays open, so that it may be replaced or removed. It is not mapped into memory:
    a page of a mapped file counts as the process's memory once it is read, and truncating the file ends the process.
    A small file is kept in memory: each read of the file lets another thread have Python's lock, for which this one
    then waits.

    Args:
        path: The path given to `write_strings`.
        kept_bytes: The size up to which a file is kept in memory. Default: 32 MiB.

    Raises:
        ModelFolderError: if a file cannot be read, or they do not belong together.
    """

    def __init__(self, path: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.path = path
        try:
            self._offsets = np.load(_offsets_of(path))
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError, EOFError) as error:
            raise self._make_error(str(error)) from error
        weakref.finalize(self, os.close, self._handle)
        offsets, size = self._offsets, os.fstat(self._handle).st_size
        is_table = offsets.ndim == 1 and offsets.dtype == np.int64 and offsets.size and not offsets[0]
        if not is_table or offsets[-1] != size or (np.diff(offsets) < 0).any():
            raise self._make_error(f"its offsets do not fit {size} bytes")
        self._kept = self._read(0, size) if size <= kept_bytes else None

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def take(self, rows: Sequence[int]) -> list[bytes]:
        """Returns some strings.

        Raises:
            ModelFolderError: if the file has been truncated since it was opened.
        """
        places = np.asarray(rows, dtype=np.int64)
        begins, ends = self._offsets[places].tolist(), self._offsets[places + 1].tolist()
        kept = self._kept
        if kept is not None:
            return [kept[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return [self._read(begin, end) for begin, end in zip(begins, ends, strict=True)]

    def _read(self, begin: int, end: int) -> bytes:
        string = os.pread(self._handle, end - begin, begin)
        if len(string) != end - begin:
            raise self._make_error("it ends before its last string")
        return string

    def _make_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Write it again.")


def write_strings(path: Path, strings: Iterable[bytes]) -> None:
    """Writes strings into a file, and their offsets into a file beside it.

    Args:
        path: The file of the strings.
        strings: The strings, read as needed.
    """
    offsets = [0]
    with open(path, "wb") as file:
        for string in strings:
            file.write(string)
            offsets.append(offsets[-1] + len(string))
    np.save(_offsets_of(path), np.array(offsets, dtype=np.int64))


def join_strings(name: str, strings: Iterable[bytes]) -> dict[str, bytes]:
    """Returns the two files that `write_strings` writes, name → content.

    Args:
        name: The name of the file of the strings.
        strings: The strings.
    """
    parts = list(strings)
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    buffer = io.BytesIO()
    np.save(buffer, offsets)
    return {name: b"".join(parts), _offsets_of(Path(name)).name: buffer.getvalue()}


def _offsets_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.offsets.npy")
