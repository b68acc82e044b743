"""Records of files (.jsonl, .csv, .tsv, .parquet): dicts, one at a time, each with its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.lines import open_bytes, read_lines
from tfchain.data.files.paths import to_path
from tfchain.data.files.place import Block, Place, Record
from tfchain.data.files.tables import read_cells, read_parquet


def read_records(path: Path | str) -> Iterator[Record]:
    """Reads the records of a file, in the format that its name's ending gives.

    Args:
        path: A file of JSON objects, one per line (`.jsonl`), or of comma- or tab-separated cells below a line of
            column names (`.csv`, `.tsv`; cells quoted as in spreadsheets, empty cells are `None`), each plain or
            gzipped (`.gz`); or a `.parquet` file.

    Yields:
        The place and the record.

    Raises:
        InputError: if the file is missing, empty, of another kind, or broken; with the line's number.
    """
    path = to_path(path)
    ending = record_ending(path)
    if ending is None:
        if not path.exists():
            open_bytes(path)  # raises: for a missing file, say so rather than complain about its name
        raise InputError(
            f"Expected a file that ends in {', '.join(READERS)}, .jsonl.gz, .csv.gz or .tsv.gz. Received: {path}."
        )
    found = False
    for record in READERS[ending](path):
        found = True
        yield record
    if not found:
        raise InputError(f"{path} holds no records. Expected at least one.")


def record_ending(path: Path) -> str | None:
    """Returns the ending that says how to read a file of records; `None` if it is not a file of records."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in READERS or (ending == ".parquet" and name.endswith(".gz")):
        return None
    return ending


def read_json_lines(path: Path) -> Iterator[Record]:
    """Reads one JSON object per line, and skips blank lines."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = Place(f"{path}:", number)
        try:
            record = json.loads(line)
        except RecursionError:
            raise InputError(f"{place}: JSON nested too deep to be read. Flatten it, or leave the line out.") from None
        except ValueError as error:
            hint = " A file that is one JSON array must be rewritten." if line.lstrip().startswith("[") else ""
            raise InputError(f"{place}: broken JSON: {error}. Expected one JSON object per line.{hint}") from None
        if not isinstance(record, dict):
            raise InputError(
                f"{place}: expected a JSON object. Received: {type(record).__name__} {line.strip()[:60]!r}."
            )
        yield place, record


def read_cell_records(path: Path) -> Iterator[Record]:
    """Reads the rows of a file of cells."""
    for place, record in read_cells(path, choose_all):
        # A cell cannot hold a dict, so a column named `metadata` is a value like any other.
        values: dict[str, Any] = dict(record)
        if "metadata" in values:
            values["metadata"] = {"metadata": values["metadata"]}
        yield place, values


def read_parquet_records(path: Path) -> Iterator[Record]:
    """Reads the rows of a Parquet file."""
    for block in read_parquet(path, choose_all):
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


READERS = {
    ".jsonl": read_json_lines,
    ".csv": read_cell_records,
    ".tsv": read_cell_records,
    ".parquet": read_parquet_records,
}
