"""Records of files (.jsonl, .csv, .tsv, .parquet): dicts, one at a time, each with the place where it stands."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tfchain.core.errors import InputError
from tfchain.data.lines import open_bytes, read_lines


class Place(NamedTuple):
    """Where a record stands; as a string `corpus.jsonl:17`, `data.parquet, row 17` or `documents[17]`."""

    before: str
    number: int | None = None
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{'' if self.number is None else self.number}{self.after}"


Record = tuple[Place, Mapping[str, Any]]


def read_records(path: Path | str) -> Iterator[Record]:
    """Reads the records of a file by its name's ending.

    Args:
        path: A file of JSON objects, one a line (`.jsonl`), of comma or tab separated cells below a line of column
            names (`.csv`, `.tsv`; cells with quotes as spreadsheets write them), each plain or gzipped (`.gz`); or a
            `.parquet` file.

    Yields:
        The place and the record.

    Raises:
        InputError: if the file is missing, empty, of another kind, or broken; with the line's number.
    """
    path = Path(path)
    ending = record_ending(path)
    if ending is None:
        if not path.exists():
            open_bytes(path)  # raises: a missing file's error comes before that of its name
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
    """The ending that says how a file of records is read, `None` where it is not one."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in READERS or (ending == ".parquet" and name.endswith(".gz")):
        return None
    return ending


def read_json_lines(path: Path) -> Iterator[Record]:
    """Reads one JSON object a line; blank lines are skipped."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = Place(f"{path}:", number)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            hint = " A file that is one JSON array must be rewritten." if line.lstrip().startswith("[") else ""
            raise InputError(f"{place}: broken JSON: {error}. Expected one JSON object a line.{hint}") from None
        if not isinstance(record, dict):
            raise InputError(
                f"{place}: expected a JSON object. Received: {type(record).__name__} {line.strip()[:60]!r}."
            )
        yield place, record


def read_csv(path: Path) -> Iterator[Record]:
    """Reads comma separated cells below a line of column names."""
    return read_cells(path, ",")


def read_tsv(path: Path) -> Iterator[Record]:
    """Reads tab separated cells below a line of column names."""
    return read_cells(path, "\t")


def read_cells(path: Path, delimiter: str) -> Iterator[Record]:
    """Reads separated cells; every value is a string."""
    rows = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    while True:
        number = rows.line_num + 1  # where the row begins: a quoted cell may hold line ends
        try:
            row = next_row(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}:{number}: broken row: {error}. Expected cells between {delimiter!r}, and a cell that holds "
                "quotes, delimiters or line ends in double quotes, its own quotes doubled."
            ) from None
        if not row:
            continue
        if columns is None:
            columns = row
            check_columns(columns, path)
        elif len(row) != len(columns):
            raise InputError(
                f"{path}:{number}: expected {len(columns)} cells ({', '.join(columns)}). Received: {len(row)}."
            )
        else:
            # A cell cannot hold a dict, so a column of this name is a value like all others.
            record: dict[str, Any] = dict(zip(columns, row, strict=True))
            yield (
                Place(f"{path}:", number),
                record | ({"metadata": {"metadata": record["metadata"]}} if "metadata" in record else {}),
            )


def next_row(rows: Iterator[list[str]]) -> list[str]:
    """Reads a row whose cells may have any length (the csv module's limit, one for the whole process, is put back)."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return next(rows)
    finally:
        csv.field_size_limit(limit)


def read_parquet(path: Path) -> Iterator[Record]:
    """Reads a Parquet file in batches of rows."""
    import pyarrow
    from pyarrow import parquet

    open_bytes(path).close()  # a missing file's error, as for all others
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            check_columns(file.schema_arrow.names, path)
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield Place(f"{path}, row ", number), record
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"Could not read {path} as Parquet: {str(error).splitlines()[0]}") from error


def check_columns(columns: list[str], path: Path) -> None:
    """Raises where a table has no column of texts, or two of one name."""
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise InputError(f"{path}: expected each column once. Received twice: {', '.join(sorted(twice))}.")
    if "text" not in columns:
        raise InputError(
            f"{path}: expected a column named `text` (and `id`, `title` if there are). "
            f"Received the columns: {', '.join(columns)}. Rename the one that holds the texts."
        )


READERS = {".jsonl": read_json_lines, ".csv": read_csv, ".tsv": read_tsv, ".parquet": read_parquet}
