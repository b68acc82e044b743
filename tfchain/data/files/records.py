"""Records of files (.jsonl, .csv, .tsv, .parquet, .tfrecord): dicts, one at a time, each with its place."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.lines import read_lines
from tfchain.data.files.place import Block, Place, Record
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.tables import read_cells, read_parquet
from tfchain.data.files.tfrecords import read_tfrecord


def read_records(path: Path | str | DataFile, session: ReadSession | None = None) -> Iterator[Record]:
    """Reads the records of a file, in the format that its name's ending gives.

    Args:
        path: A file of JSON objects, one per line (`.jsonl`), or of comma- or tab-separated cells below a line of
            column names (`.csv`, `.tsv`; cells quoted as in spreadsheets, empty cells are `None`), each plain or
            compressed (`.gz`, `.zst`, `.bz2`, `.xz`); a `.parquet` file; or a `.tfrecord` file of `tf.train.Example`s
            (also `.gz`).
        session: Limits, and what becomes of broken records. Default: the first one is an error.

    Yields:
        The place and the record.

    Raises:
        InputError: if the file is missing, empty, of another kind, or broken; with the line's number.
    """
    file, session = to_file(path), session or ReadSession()
    ending = record_ending(file)
    if ending is None:
        file.open(session.limits).close()  # raises: for a missing file, say so rather than complain about its name
        raise InputError(
            f"Expected a file that ends in {', '.join(READERS)}, .jsonl.gz, .csv.gz or .tsv.gz. Received: {file}."
        )
    found = session.broken
    count = 0
    for record in READERS[ending](file, session):
        count += 1
        yield record
    if not count and found == session.broken:
        raise InputError(f"{file} holds no records. Expected at least one.")


def record_ending(path: Path | DataFile) -> str | None:
    """Returns the ending that says how to read a file of records; `None` if it is not a file of records."""
    file = to_file(path)
    if file.ending not in READERS or (file.ending == ".parquet" and file.compression):
        return None
    return file.ending


def read_json_lines(path: Path | DataFile, session: ReadSession | None = None) -> Iterator[Record]:
    """Reads one JSON object per line, and skips blank lines."""
    file, session = to_file(path), session or ReadSession()
    before = f"{file}:"
    for number, line in read_lines(file, session):
        if not line or line.isspace():
            continue
        place = Place(before, number)
        try:
            record = parse_object(line, place)
        except InputError as error:
            session.reject(error, place, line)
            continue
        yield place, record


def parse_object(line: str, place: Place) -> dict[str, Any]:
    """Returns the JSON object of a line."""
    try:
        record = json.loads(line)
    except RecursionError:
        raise InputError(f"{place}: JSON nested too deep to be read. Flatten it, or leave the line out.") from None
    except ValueError as error:
        hint = " A file that is one JSON array must be rewritten." if line.lstrip().startswith("[") else ""
        raise InputError(f"{place}: broken JSON: {error}. Expected one JSON object per line.{hint}") from None
    if not isinstance(record, dict):
        raise InputError(f"{place}: expected a JSON object. Received: {type(record).__name__} {line.strip()[:60]!r}.")
    return record


def read_cell_records(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the rows of a file of cells."""
    for place, record in read_cells(file, choose_all, session):
        # A cell cannot hold a dict, so a column named `metadata` is a value like any other.
        values: dict[str, Any] = dict(record)
        if "metadata" in values:
            values["metadata"] = {"metadata": values["metadata"]}
        yield place, values


def read_parquet_records(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the rows of a Parquet file."""
    for block in read_parquet(file, choose_all, session):
        yield from block_records(block)


def block_records(block: Block) -> Iterator[Record]:
    """Yields the rows of a block as dicts."""
    for row, values in enumerate(zip(*block.columns, strict=True)):
        yield block.place(row), dict(zip(block.names, values, strict=True))


def choose_all(columns: list[str], place: Place) -> list[str]:
    """Chooses all columns of a table of documents.

    Raises:
        InputError: if there is no column `text`.
    """
    if "text" not in columns:
        raise InputError(
            f"{place.before.removesuffix(':')}: expected a column named `text` (and optionally `id`, `title`). "
            f"Received the columns: {', '.join(columns)}. Rename the column that holds the texts."
        )
    return columns


READERS: dict[str, Callable[[DataFile, ReadSession], Iterator[Record]]] = {
    ".jsonl": read_json_lines,
    ".csv": read_cell_records,
    ".tsv": read_cell_records,
    ".parquet": read_parquet_records,
    ".tfrecord": read_tfrecord,
}
