"""Which row a document has, by its id, in two files that are mapped into memory.

`ids.npy` has the hashes of the documents' ids, sorted, uint64; `id_rows.npy` their rows, int32.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError


def make_id_files(ids: Sequence[str]) -> dict[str, bytes]:
    """Returns the files of an `IdTable`, name → content.

    Args:
        ids: The documents' ids, by row.
    """
    hashes = np.array([_hash(name) for name in ids], np.uint64)
    order = np.argsort(hashes, kind="stable")
    return {"ids.npy": to_npy(hashes[order]), "id_rows.npy": to_npy(order.astype(np.int32))}


class IdTable:
    """What `make_id_files` made. Threads may share it.

    Args:
        path: The folder of the files.

    Raises:
        ModelFolderError: if a file is missing or damaged, or they do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._ids = np.load(path / "ids.npy", mmap_mode="r")
            self._rows = np.load(path / "id_rows.npy", mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise self._make_error(str(error)) from error
        if self._ids.shape != self._rows.shape or self._ids.ndim != 1:
            raise self._make_error("its files do not belong together")

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, ids: Sequence[str]) -> list[int]:
        """Returns the rows of documents.

        Raises:
            ModelFolderError: if a document is not there.
        """
        hashes = np.array([_hash(name) for name in ids], np.uint64)
        places = np.searchsorted(self._ids, hashes)
        if (places == len(self._ids)).any() or (self._ids[places] != hashes).any():
            raise self._make_error("it lacks a document that the search found")
        return self._rows[places].tolist()

    def _make_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Export the version again.")


def to_npy(array: np.ndarray) -> bytes:
    """Returns the content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _hash(name: str) -> int:
    """Returns the hash of an id: 64 bits, of which two of a million ids are the same once in 40 million indexes."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big")
