"""What a preparation reads: documents or rows from any source, with the identity of the source."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset
from tfchain.data.documents.items import names_path
from tfchain.data.documents.judged import is_judged_folder
from tfchain.data.documents.reading import DocumentReader, ReadOptions
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.listing import find_matches, find_named_files, is_pattern
from tfchain.data.files.paths import printable, to_path
from tfchain.data.files.place import Block
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import read_json_lines, record_ending
from tfchain.data.files.remote import is_url, without_secrets
from tfchain.data.files.shard_manifest import hash_file
from tfchain.data.pairs.columns import standard_names
from tfchain.data.pairs.reading import Pairs, read_pairs
from tfchain.data.pairs.sources import find_files, read_blocks, read_file
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import BLOCK_RECORDS

ReadAs = Literal["documents", "rows"]


@dataclass(frozen=True)
class SourceFile:
    """A file that a preparation reads.

    Args:
        name: Its path below the folder that was given; its name, if it was given itself.
        bytes: Its size.
        sha256: The hash of its content.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RecordSource:
    """A source of records.

    Args:
        source: What `read_documents` or `read_pairs` takes. Rows may have any columns, which stay.
        read: Whether its records are `documents` or `rows`. Default: `documents`.
        reading: What becomes of documents that are empty or broken, or of broken rows. Default: `ReadOptions()`.

    Attributes:
        paths: The files and folders that the source names; empty if it is records in memory, or a URL is among them.
        name: URLs without what may be secret in them, and the names of files beside them; None without a URL.
    """

    source: Any
    read: ReadAs = "documents"
    reading: ReadOptions | None = None
    paths: tuple[Path, ...] = field(init=False)
    name: str | None = field(init=False)

    def __post_init__(self) -> None:
        if self.read not in ("documents", "rows"):
            raise InputError(f"`read` must be 'documents' or 'rows'. Received: read={self.read!r}.", argument="read")
        if self.read == "rows" and self.reading is not None and self.reading.empty != ReadOptions().empty:
            raise InputError(
                f"`empty` says what becomes of documents. Received: empty={self.reading.empty!r} with read='rows'. "
                "Leave it out, or drop rows by a step.",
                argument="reading",
            )
        named = list_named(self.source, self.read)
        has_url = any(is_url(text) for text in named)
        object.__setattr__(self, "paths", () if has_url else find_paths(named))
        shown = (without_secrets(text) if is_url(text) else os.path.basename(text) for text in named)
        object.__setattr__(self, "name", ", ".join(shown) if has_url else None)

    def blocks(self) -> Iterator[list[Record]]:
        """Reads the records, 1,024 at a time, from the first on.

        Raises:
            InputError: if a record cannot be read; with its place.
        """
        if self.read == "documents":
            records = read_document_records(self.source, self.reading or ReadOptions())
        else:
            records = self._read_rows()
        while block := list(islice(records, BLOCK_RECORDS)):
            yield block

    def _read_rows(self) -> Iterator[Record]:
        session = (self.reading or ReadOptions()).new_session()
        session.start()
        found = False
        try:
            for record in read_row_records(self.source, session):
                found = True
                yield record
        finally:
            session.finish()
        session.check_found(found, "rows")

    def files(self) -> list[Path]:
        """Returns the files that the source names, in a fixed order; hidden ones in folders are left out."""
        found: list[Path] = []
        for path in self.paths:
            found += [file for _, file in walk(path)]
        return found

    def hash_files(self) -> list[SourceFile]:
        """Hashes the content of all files.

        Raises:
            InputError: if one cannot be read.
        """
        return [
            SourceFile(name, file.stat().st_size, hash_file(file)) for path in self.paths for name, file in walk(path)
        ]


def list_named(source: Any, read: ReadAs) -> list[str]:
    """Returns the paths, patterns and URLs that a source names, if it names nothing else."""
    if isinstance(source, str) and read == "documents" and not names_path(source):
        return []
    items = source if isinstance(source, list | tuple) else [source]
    named = [isinstance(item, os.PathLike) or (item is source and isinstance(item, str)) for item in items]
    return [os.fspath(item) for item in items] if all(named) else []


def find_paths(named: Iterable[str]) -> tuple[Path, ...]:
    """Returns the files and folders that paths and patterns name.

    Raises:
        InputError: if one does not exist.
    """
    paths: tuple[Path, ...] = ()
    for text in named:
        matches = find_matches(text) if is_pattern(text) else []
        paths += tuple(file.path for _, file in matches if file.path is not None) or (to_path(text),)
    for path in paths:
        if not path.exists():
            raise InputError(
                f"No such file or folder: {printable(path)}. Check the path (the current folder is {Path.cwd()})."
            )
    return paths


def walk(path: Path) -> Iterator[tuple[str, Path]]:
    """Yields a file, or the files below a folder that are not hidden, sorted, each with its name."""
    if not path.is_dir():
        yield path.name, path
        return
    found: list[tuple[str, Path]] = []
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(parent, name) for name in names if not name.startswith(".")]
        found += [(printable(file.relative_to(path)), file) for file in files if file.is_file()]
    yield from sorted(found)


def read_document_records(source: Any, reading: ReadOptions) -> Iterator[Record]:
    """Reads documents; equal ids are found when they are written, in memory that does not grow."""
    return iter(DocumentReader(source, empty=reading.empty, session=reading.new_session(), unique_ids=False))


def read_row_records(source: Any, session: ReadSession | None = None) -> Iterator[Record]:
    """Reads rows as dicts with all their columns.

    Tuples get the names `query`, `positive`, `negative_1`, …, and texts the name `text`. The session says what becomes
    of broken rows; by default the first one is an error.
    """
    session = session or ReadSession()
    if isinstance(source, BeirDataset) or (isinstance(source, str | os.PathLike) and is_judged_folder(str(source))):
        source = read_pairs(source)
    if isinstance(source, Pairs):
        yield from pair_rows(source)
    elif isinstance(source, str | os.PathLike):
        named = find_named_files(source)
        for file in map(to_file, find_files(to_path(source))) if named is None else [file for _, file in named]:
            yield from session.bear(read_row_file(file, session), file.label)
    elif isinstance(source, list | tuple) and source and all(isinstance(item, os.PathLike) for item in source):
        for path in source:
            yield from read_row_records(path, session)
    elif isinstance(source, Iterable) and not is_other_source(source):
        for number, row in enumerate(source):
            try:
                made = to_row(row, number)
            except InputError as error:
                session.reject(error, f"source[{number}]", row)
                continue
            yield made
    else:
        for block in read_blocks(source, session=session):
            yield from rows_of(block)


def is_other_source(source: Any) -> bool:
    """Returns whether a source is iterated over in another way than by rows: a data set or a data frame."""
    return hasattr(source, "column_names") or hasattr(source, "columns") or hasattr(source, "element_spec")


def read_row_file(path: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the rows of a file: of JSON lines with all columns, of other files with those that training reads."""
    if record_ending(path) == ".jsonl":
        yield from (row for _, row in read_json_lines(path, session))
        return
    for block in read_file(path, session):
        yield from rows_of(block)


def rows_of(block: Block) -> Iterator[Record]:
    """Yields the rows of a block as dicts."""
    return (dict(zip(block.names, values, strict=True)) for values in zip(*block.columns, strict=True))


def pair_rows(pairs: Pairs) -> Iterator[Record]:
    """Yields the rows of pairs as dicts."""
    names = standard_names(pairs.num_columns, symmetric=pairs.symmetric)
    for number, texts in enumerate(zip(*pairs.columns, strict=True)):
        row: dict[str, Any] = dict(zip(names, texts, strict=True))
        if pairs.labels is not None:
            row["labels"] = pairs.labels[number].tolist()
        yield row


def to_row(row: Any, number: int) -> Record:
    """Returns a row in memory as a dict."""
    if isinstance(row, Document | Mapping):
        return row
    if isinstance(row, str):
        return {"text": row}
    if isinstance(row, tuple | list) and len(row) > 1:
        return dict(zip(standard_names(len(row), symmetric=False), row, strict=True))
    raise InputError(
        f"source[{number}]: expected a row: a dict, a text or a (query, document, negative, …) tuple. Received: "
        f"{row!r:.60} of type {type(row).__name__}."
    )


def to_plain_files(files: Iterable[SourceFile]) -> list[dict[str, Any]]:
    """Returns files as plain values."""
    return [asdict(file) for file in files]


def count_records(source: Any) -> int | None:
    """Returns the number of records in memory; `None` if it is not known."""
    is_counted = isinstance(source, list | tuple | Pairs) or hasattr(source, "column_names")
    return len(source) if is_counted and not list_named(source, "rows") else None
