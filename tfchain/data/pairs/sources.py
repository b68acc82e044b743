"""Blocks of training rows from any source: lists, files, folders, data frames, Hugging Face and tf.data datasets."""

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.documents.squad import is_squad, read_squad_rows
from tfchain.data.files.archives import read_archive
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.datasets import is_hugging_face, is_tf_dataset, read_hugging_face, read_tf_dataset
from tfchain.data.files.kinds import archive_kind
from tfchain.data.files.listing import find_named_files
from tfchain.data.files.paths import printable, to_path
from tfchain.data.files.place import Block, Place
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import read_json_lines, record_ending
from tfchain.data.files.shard_manifest import find_shards, read_manifest
from tfchain.data.files.tables import BLOCK_ROWS, is_frame, read_cells, read_frame, read_parquet
from tfchain.data.files.tfrecords import read_tfrecord
from tfchain.data.pairs.columns import (
    LABEL_NAMES,
    TEXT_NAME,
    check_text,
    find_layout,
    ragged_error,
    standard_names,
    used_names,
)
from tfchain.data.pairs.msmarco_triples import is_triples, read_triples

TFRECORD_ENDINGS = (".tfrecord", ".tfrecord.gz")
FORMS = (
    "a list or generator of (query, document, negative, …) tuples, of dicts, or of texts; a .jsonl, .csv, .tsv, "
    ".parquet, .tfrecord or SQuAD-like .json file, an archive, a pattern or a URL of such files, a folder of .parquet "
    "or .tfrecord files, or a BEIR folder; a Hugging Face Dataset; a data frame; or a tf.data.Dataset"
)


def read_blocks(dataset: Any, *, split: str = "train", session: ReadSession | None = None) -> Iterator[Block]:
    """Reads rows from any source but BEIR folders, about a thousand at a time.

    Args:
        dataset: See `read_pairs`.
        split: Which part of a Hugging Face `DatasetDict`. Default: `train`.
        session: What becomes of broken rows of files and of rows in memory. Default: the first one is an error.

    Yields:
        Blocks with at least one row.

    Raises:
        InputError: if the dataset has another type, or a file is missing or broken.
    """
    if isinstance(dataset, str | os.PathLike):
        yield from read_path(dataset, session)
    elif is_tf_dataset(dataset):
        yield from read_tf_dataset(dataset, used_names, name_parts, "dataset")
    elif is_hugging_face(dataset):
        yield from read_hugging_face(dataset, split, used_names, "dataset")
    elif is_frame(dataset):
        yield from read_frame(dataset, used_names, "dataset")
    elif isinstance(dataset, Iterable) and not is_other(dataset):
        yield from read_rows(((Place("dataset[", number, "]"), row) for number, row in enumerate(dataset)), session)
    else:
        raise InputError(f"`dataset` must be {FORMS}. Received: {type(dataset).__name__}.")


def name_parts(width: int) -> tuple[str, ...]:
    """Returns the names of a tuple's parts."""
    return standard_names(width, symmetric=False)


def is_other(dataset: Any) -> bool:
    """Returns whether a dataset is iterable, but not over rows in order."""
    return isinstance(dataset, Mapping | bytes | bytearray | set | frozenset | np.ndarray)


def read_path(source: str | os.PathLike[str], session: ReadSession | None = None) -> Iterator[Block]:
    """Reads a file, the files of a folder in the order of their names, or those of a pattern or a URL.

    A file that cannot be read to its end counts as one broken row.
    """
    session = session or ReadSession()
    named = find_named_files(os.fspath(source))
    if named is not None:
        for _, file in named:
            yield from session.bear(read_file(file, session), str(file))
        return
    for path in find_files(to_path(source)):
        yield from session.bear(read_file(path, session), printable(path))


def find_files(path: Path) -> list[Path]:
    """Returns a file itself, the files of a prepared set, or a folder's .parquet or .tfrecord files, sorted by name.

    Raises:
        InputError: if a folder has neither kind, or both.
    """
    if not path.is_dir():
        return [path]
    manifest = read_manifest(path)
    if manifest is not None:
        return find_shards(path, manifest)
    try:
        shown = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise InputError(f"Could not read the folder {printable(path)}: {os.strerror(error.errno or 0)}.") from error
    parquet = [file for file in shown if record_ending(file) == ".parquet"]
    records = [file for file in shown if is_tfrecord(file)]
    if bool(parquet) == bool(records):
        raise InputError(
            f"Expected .parquet files or .tfrecord files in the folder {path}, or a BEIR folder with corpus.jsonl. "
            f"Received: {len(parquet)} .parquet and {len(records)} .tfrecord of {len(shown)} files. Give the path of "
            "another file itself, and put files of two kinds into two folders."
        )
    return parquet or records


def is_tfrecord(path: Path) -> bool:
    """Returns whether a file's name says that it holds TFRecords."""
    return path.name.lower().endswith(TFRECORD_ENDINGS)


def read_file(path: Path | DataFile, session: ReadSession | None = None) -> Iterator[Block]:
    """Reads a file, in the format that its name's ending gives; `session` as in `read_blocks`."""
    file, session = to_file(path), session or ReadSession()
    if archive_kind(file.name):
        return read_archived(file, session)
    if is_squad(file):
        return read_rows(read_squad_rows(file, session), session)
    if is_triples(file):
        return read_rows(read_triples(file, session), session)
    ending = record_ending(file)
    if ending == ".tfrecord":
        return read_rows(read_tfrecord(file, session), session)
    if ending == ".jsonl":
        return read_rows(read_json_lines(file, session), session)
    if ending == ".parquet":
        return read_parquet(file, used_names, session)
    if ending is not None:
        return read_rows(read_cell_rows(file, session), session)
    file.open(session.limits).close()  # raises: for a missing file, say so rather than complain about its name
    raise InputError(
        "Expected a file that ends in .jsonl, .csv, .tsv (each also .gz), .parquet or .tfrecord, a SQuAD-like .json "
        f"file, or a .zip or .tar archive of them. Received: {file}."
    )


def read_archived(archive: DataFile, session: ReadSession) -> Iterator[Block]:
    """Reads the files of rows in an archive; others are left out.

    Raises:
        InputError: if there is none.
    """
    found = False
    for _, member in read_archive(archive, session):
        if record_ending(member) is not None or is_squad(member):
            found = True
            yield from session.bear(read_file(member, session), member.label)
    if not found:
        raise InputError(
            f"{archive} has no file of rows. Expected .jsonl, .csv, .tsv, .parquet, .tfrecord or SQuAD-like .json "
            "files."
        )


@dataclass(frozen=True)
class RowShape:
    """What all rows of a source have in common, as the first one has it.

    Args:
        place: The first row's place.
        kind: Its kind: dict, tuple, or str.
        names: The names of its columns.
        keys: All keys of a dict; None for other kinds.
    """

    place: Place
    kind: type
    names: tuple[str, ...]
    keys: Set[Any] | None = None

    @classmethod
    def of(cls, place: Place, row: Any) -> "RowShape":
        """Returns the shape of the first row.

        Raises:
            InputError: if its columns do not identify a query and a document.
        """
        if isinstance(row, Mapping):
            return cls(place, dict, tuple(used_names(list(row), place)), row.keys())
        if not isinstance(row, str | list | tuple):
            check_text(row, TEXT_NAME, place)  # raises, and says what is expected
        width = len(row) if isinstance(row, list | tuple) and row else 1
        return cls(place, row_kind(row), tuple(standard_names(width, symmetric=False)))

    def check(self, place: Place, row: Any) -> None:
        """Raises an InputError if a row has another shape."""
        if row_kind(row) is not self.kind:
            raise kind_error(place, row, self.place, self.kind)
        if self.kind is tuple and len(row) != len(self.names):
            raise width_error(place, row, self.place, len(self.names))
        if self.keys is not None and row.keys() != self.keys:
            check_keys(place, row, self.place, self.names)


def read_rows(rows: Iterable[tuple[Place, Any]], session: ReadSession | None = None) -> Iterator[Block]:
    """Gathers rows into blocks; all rows have the kind and the columns of the first. `session` as in `read_blocks`."""
    rows, session = iter(rows), session or ReadSession()
    for first in rows:
        try:
            shape = RowShape.of(*first)
            break
        except InputError as error:
            session.reject(error, *first)
    else:
        return
    rows = itertools.chain([first], rows)
    while batch := list(itertools.islice(rows, BLOCK_ROWS)):
        places, values = [], []
        for here, value in batch:
            try:
                shape.check(here, value)
            except InputError as error:
                session.reject(error, here, value)
                continue
            places.append(here)
            values.append(value)
        if not values:
            continue
        if shape.kind is dict:
            columns = [[value[name] for value in values] for name in shape.names]
        else:
            columns = [list(column) for column in zip(*values, strict=True)] if shape.kind is tuple else [values]
        yield Block(shape.names, columns, places.__getitem__)


def row_kind(row: Any) -> type:
    """Returns the kind of a row: dict, tuple, or str for everything else."""
    return tuple if isinstance(row, tuple | list) else dict if isinstance(row, Mapping) else str


def kind_error(place: Place, row: Any, first: Place, kind: type) -> InputError:
    """Makes the error for a row of another kind than the first one."""
    return InputError(
        f"{place}: expected a {kind.__name__} as {first} is. Received: {row!r:.60} of type {type(row).__name__}. A row "
        "is a (query, document, …) tuple, a dict or a text, all of one kind."
    )


def width_error(place: Place, row: Any, first: Place, expected: int) -> InputError:
    """Makes the error for a tuple whose length differs from the first row's."""
    if min(len(row), expected) >= 2:
        return ragged_error(place, len(row) - 2, first, expected - 2)
    return InputError(
        f"{place}: expected {expected} texts, as {first} has. Received: {len(row)}. A row is (query, document) or "
        "(query, document, negative, …)."
    )


def check_keys(place: Place, row: Mapping[str, Any], first: Place, names: tuple[str, ...]) -> None:
    """Raises an InputError if a dict lacks a column of the first row, or has another column that would be read."""
    if set(find_layout(list(row), place).names) != set(names):
        raise InputError(
            f"{place}: expected the columns of {first} ({', '.join(names)}). Received: {', '.join(map(str, row))}. "
            "Give every row the same columns, with the same number of negatives."
        )


def read_cell_rows(file: DataFile, session: ReadSession) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Reads the relevant columns of a file of cells; labels become numbers if they can be parsed."""
    for place, record in read_cells(file, used_names, session):
        yield (
            place,
            {
                name: to_label(cell) if cell is not None and name in LABEL_NAMES else cell
                for name, cell in record.items()
            },
        )


def to_label(cell: str) -> Any:
    """Parses a cell as a number or as JSON (a list of numbers); returns the cell itself if it is neither."""
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
