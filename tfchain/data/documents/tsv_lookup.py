"""Documents of a large .tsv file by their ids, through a file of offsets: MS MARCO's documents, or any collection."""

import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.msmarco import to_record
from tfchain.data.files.data_file import open_path
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.lines import read_lines
from tfchain.data.files.paths import printable, to_path
from tfchain.data.files.place import Place


class TsvLookup:
    """Reads single documents of a collection that is too large for memory; use it in a `with` block.

    The offsets take 8 bytes a document and the ids what they are long, both in arrays. Threads may share a lookup.

    Args:
        path: `collection.tsv` or `msmarco-docs.tsv`, not compressed: a gzipped file cannot be entered in the middle.
        offsets: The file of offsets that comes with MS MARCO's documents (`msmarco-docs-lookup.tsv`: id, offset in
            another file, offset in this one). Default: found by reading the collection once.

    Raises:
        InputError: if a file is missing, compressed or broken.
    """

    def __init__(self, path: Path | str, offsets: Path | str | None = None) -> None:
        self.path = to_path(path)
        if self.path.suffix.lower() != ".tsv":
            raise InputError(
                "A collection that is read by offsets must be a .tsv file. Received: "
                f"{printable(self.path)}. Unpack it."
            )
        ids, starts = scan_offsets(self.path) if offsets is None else read_offsets(to_path(offsets))
        order = np.argsort(ids, kind="stable")
        self._ids, self._starts = ids[order], starts[order]
        self._limit = ReadLimits().line_bytes
        self._file: BinaryIO | None = None
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def __enter__(self) -> "TsvLookup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the collection."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def read(self, id: str) -> Document:
        """Reads a document.

        Raises:
            InputError: if there is none of this id, or the offsets belong to another file.
        """
        row = int(np.searchsorted(self._ids, id.encode()))
        if row == len(self._ids) or self._ids[row] != id.encode():
            raise InputError(f"{self.path} has no document {id!r:.60}. Check that ids and collection belong together.")
        start = int(self._starts[row])
        with self._turn:
            if self._file is None:
                self._file = open_path(self.path)
            self._file.seek(start)
            line = self._file.readline(self._limit)
        place = Place(f"{self.path}, offset ", start)
        record = to_record(line.decode("utf-8", "replace"), place)
        if record["id"] != id:
            raise InputError(
                f"{place}: expected document {id!r}, as the offsets say. Received: {record['id']!r:.60}. Use the "
                "offsets of this file."
            )
        metadata = {"url": record["url"]} if "url" in record else {}
        return Document(id, record["text"], record.get("title", ""), metadata)


def read_offsets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file of offsets: id, offset in the TREC file, offset in the .tsv file.

    Raises:
        InputError: if a line has another form.
    """
    ids: list[bytes] = []
    starts: list[int] = []
    for number, line in read_lines(path):
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 3 or not cells[0] or not cells[2].isdecimal():
            raise InputError(
                f"{path}:{number}: expected a document's id and its two offsets between tabs. Received: "
                f"{line.strip()[:60]!r}."
            )
        ids.append(cells[0].encode())
        starts.append(int(cells[2]))
    return np.array(ids), np.array(starts, np.int64)


def scan_offsets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Finds the offsets of a collection's lines."""
    ids: list[bytes] = []
    starts: list[int] = []
    start = 0
    with open_path(path) as file:
        for line in file:
            if line.strip():
                ids.append(line.partition(b"\t")[0])
                starts.append(start)
            start += len(line)
    if not ids:
        raise InputError(f"{path} is empty. Expected lines of an id and a text.")
    return np.array(ids), np.array(starts, np.int64)
