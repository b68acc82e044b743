"""The metadata of a version's documents in files: mapped or read by place, so that a server holds little of it.

In `assets.extra/tfchain_metadata/` of a version whose documents have metadata:

    metadata        each document's metadata in JSON, in the order of the search's rows (`StringFile`); empty for none
    ids.npy, id_rows.npy    the documents by their ids (`IdTable`)
    keys.json       the keys that filters can ask for
    starts.npy      int64, where the entries of each key begin, and the number of all
    rows.npy        int32, the document of each entry
    codes.npy       int32, the place of each entry's value among its key's
    values          each key's different values, a sorted JSON list (`StringFile`)
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.core.filters.columns import Column, make_columns
from tfchain.core.id_table import IdTable, make_id_files, to_npy
from tfchain.core.string_file import StringFile, join_strings

METADATA_FOLDER = "assets.extra/tfchain_metadata"  # in a version's folder


def make_metadata_files(ids: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Returns the files of documents' metadata, name → content; none if no document has any.

    Args:
        ids: The documents' ids.
        metadata: Their metadata.
    """
    if not any(metadata):
        return {}
    columns = make_columns(metadata)
    found = list(columns.values())
    starts = np.cumsum([0, *(len(column.rows) for column in found)], dtype=np.int64)
    nothing = [np.zeros(0, np.int32)]
    arrays: dict[str, np.ndarray] = {
        "starts": starts,
        "rows": np.concatenate([*(column.rows for column in found), *nothing]),
        "codes": np.concatenate([*(column.codes for column in found), *nothing]),
    }
    files = make_id_files(ids) | {"keys.json": _to_json(list(columns))}
    for name, strings in (
        ("metadata", [_to_json(values) if values else b"" for values in metadata]),
        ("values", [_to_json(column.values) for column in found]),
    ):
        files |= join_strings(name, strings)
    files |= {f"{name}.npy": to_npy(array) for name, array in arrays.items()}
    return {f"{METADATA_FOLDER}/{name}": content for name, content in files.items()}


class MetadataFiles:
    """What `make_metadata_files` made, read as it is asked for. Threads may share it.

    Args:
        path: The version's folder.

    Raises:
        ModelFolderError: if a file is missing, or they do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / METADATA_FOLDER
        self._ids = IdTable(self.path)
        self._metadata, self._values = StringFile(self.path / "metadata"), StringFile(self.path / "values")
        self.num_documents = len(self._metadata)
        try:
            arrays = {name: np.load(self.path / f"{name}.npy", mmap_mode="r") for name in ("starts", "rows", "codes")}
            keys = json.loads((self.path / "keys.json").read_text(encoding="utf-8"))
            self._numbers = {key: number for number, key in enumerate(keys)}
        except (OSError, ValueError, EOFError, TypeError) as error:
            raise self._make_error(str(error)) from error
        self._starts, self._rows, self._codes = arrays["starts"], arrays["rows"], arrays["codes"]
        keys_fit = len(self._numbers) == len(self._values) == len(self._starts) - 1
        documents_fit = len(self._ids) == self.num_documents
        if not documents_fit or not keys_fit or not self._starts[-1] == len(self._rows) == len(self._codes):
            raise self._make_error("its files do not belong together")
        self._columns: dict[str, Column] = {}
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[str]:
        """The keys that filters can ask for."""
        return list(self._numbers)

    def column(self, key: str) -> Column | None:
        """Returns the values of a key; None if no document has it.

        Raises:
            ModelFolderError: if a file is damaged.
        """
        number = self._numbers.get(key)
        if number is None:
            return None
        with self._lock:
            if key not in self._columns:
                self._columns[key] = self._read_column(number)
            return self._columns[key]

    def find(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the metadata of documents; an empty dict for those that have none.

        Raises:
            ModelFolderError: if a document is not there, or a file is damaged.
        """
        try:
            return [json.loads(text) if text else {} for text in self._metadata.take(self._ids.find(ids))]
        except (ValueError, IndexError) as error:
            raise self._make_error(str(error)) from error

    def _read_column(self, number: int) -> Column:
        begin, end = int(self._starts[number]), int(self._starts[number + 1])
        try:
            values = json.loads(self._values.take([number])[0])
        except ValueError as error:
            raise self._make_error(str(error)) from error
        rows, codes = self._rows[begin:end], self._codes[begin:end]
        if not _is_within(rows, self.num_documents) or not _is_within(codes, len(values)):
            raise self._make_error("its entries are out of range")
        return Column(values, rows, codes)

    def _make_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Export the version again.")


def _is_within(places: np.ndarray, end: int) -> bool:
    return not len(places) or bool(places.min() >= 0 and places.max() < end)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
