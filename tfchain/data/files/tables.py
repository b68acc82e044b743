"""Tables of documents or pairs: .csv, .tsv and .parquet files and data frames, with checked column names."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.lines import open_bytes, read_lines
from tfchain.data.files.paths import check_name
from tfchain.data.files.place import Block, Place, places_from
from tfchain.data.files.values import from_arrow

BLOCK_ROWS = 1024
ChooseColumns = Callable[[list[str], Place], Sequence[str]]
PANDAS_INDEX = "__index_level_"  # pandas' name for row labels in Arrow: not one of the user's columns


def read_cells(path: Path, choose: ChooseColumns) -> Iterator[tuple[Place, dict[str, str | None]]]:
    """Reads the rows of a `.csv` or `.tsv` file (each also `.gz`) below its line of column names.

    Args:
        path: The file. Its name decides the delimiter.
        choose: Takes the columns' names and the place of their line; returns the names of the columns to read, or
            raises.

    Yields:
        The place where a row begins, and its cells by column: strings, `None` for empty cells.

    Raises:
        InputError: if the file is missing, not UTF-8 or broken; with the line's number.
    """
    delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    rows = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    chosen: set[str] = set()
    while True:
        number = rows.line_num + 1  # where the row begins: a quoted cell may span lines
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
            check_distinct(columns, str(path))
            chosen = set(choose(columns, Place(f"{path}:", number, " (the line of column names)")))
        elif len(row) != len(columns):
            raise InputError(
                f"{path}:{number}: expected {len(columns)} cells ({', '.join(columns)}). Received: {len(row)}."
            )
        else:
            cells = zip(columns, row, strict=True)
            yield Place(f"{path}:", number), {name: cell or None for name, cell in cells if name in chosen}


def next_row(rows: Iterator[list[str]]) -> list[str]:
    """Reads a row with cells of any length, and restores the csv module's limit, which is global to the process."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return next(rows)
    finally:
        csv.field_size_limit(limit)


def read_parquet(path: Path, choose: ChooseColumns) -> Iterator[Block]:
    """Reads a Parquet file in blocks of rows.

    Args:
        path: The file.
        choose: Takes the columns' names and the file's place; returns the names of the columns to read, or raises.

    Raises:
        InputError: if the file is missing or broken, or a value cannot be read; with the row and the column.
    """
    import pyarrow
    from pyarrow import parquet

    check_name(path)
    open_bytes(path).close()  # raises the same error for a missing file as the other formats
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            found = file.schema_arrow.names
            check_distinct(found, str(path))
            names = list(choose(found, Place(str(path))))
            batches = file.iter_batches(batch_size=BLOCK_ROWS, columns=None if names == found else names)
            yield from to_blocks(batches, names, f"{path}, row ", 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"Could not read {path} as Parquet: {str(error).splitlines()[0]}") from error


def is_frame(source: Any) -> bool:
    """Returns whether a source is a data frame or an Arrow table, which iterate over columns rather than rows."""
    return hasattr(source, "columns") and any(
        hasattr(source, name) for name in ("__arrow_c_stream__", "to_dict", "to_pylist")
    )


def read_frame(frame: Any, choose: ChooseColumns, name: str) -> Iterator[Block]:
    """Reads a data frame (pandas, Polars, Arrow, …) in blocks of rows, through Arrow's stream interface.

    Args:
        frame: The data frame.
        choose: Takes the columns' names and the frame's place; returns the names of the columns to read, or raises.
        name: The argument's name, for errors.

    Raises:
        InputError: if the frame lacks that interface, or Arrow has no type for its columns.
    """
    import pyarrow

    advice = "Use `frame.to_dict('records')` (pandas), `frame.to_dicts()` (Polars) or `table.to_pylist()` (Arrow)."
    if not hasattr(frame, "__arrow_c_stream__"):
        raise InputError(
            f"`{name}` must be a data frame that Arrow can read (`__arrow_c_stream__`). "
            f"Received: {type(frame).__name__}. {advice}"
        )
    refused = f"`{name}` must be a data frame that Arrow can read. Received: {type(frame).__name__}: "
    try:
        stream = pyarrow.RecordBatchReader.from_stream(frame)
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise InputError(f"{refused}{str(error).splitlines()[0]}. {advice}") from error
    try:
        with stream as batches:
            found = [column for column in batches.schema.names if not column.startswith(PANDAS_INDEX)]
            check_distinct(found, f"`{name}`")
            names = list(choose(found, Place(f"`{name}`")))
            start = 0
            for batch in batches:
                parts = (batch.slice(offset, BLOCK_ROWS) for offset in range(0, batch.num_rows, BLOCK_ROWS))
                yield from to_blocks(parts, names, f"{name}[", start, "]")
                start += batch.num_rows
    except pyarrow.ArrowException as error:
        raise InputError(f"{refused}{str(error).splitlines()[0]}. {advice}") from error


def to_blocks(batches: Iterable[Any], names: list[str], before: str, start: int, after: str = "") -> Iterator[Block]:
    """Turns record batches into blocks whose rows are numbered from `start`."""
    for batch in batches:
        place = places_from(before, start, after)
        if batch.num_rows:
            yield Block(names, [to_values(batch.column(name), name, place) for name in names], place)
        start += batch.num_rows


def to_values(array: Any, name: str, place: Callable[[int], Place]) -> list[Any]:
    """Converts an Arrow array to Python values; dates that Python cannot represent become text."""
    try:
        return list(array.to_pylist())
    except (ValueError, OverflowError):
        pass  # convert the values singly, to find the one at fault
    values = []
    for row, scalar in enumerate(array):
        try:
            values.append(from_arrow(scalar))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{place(row)}: the column `{name}` holds a value that cannot be read: {error}. Expected a value of "
                f"{array.type}. Fix it, or leave the row out."
            ) from None
    return values


def check_distinct(columns: list[str], where: str) -> None:
    """Raises an InputError if two columns have the same name."""
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise InputError(f"{where}: expected each column once. Received twice: {', '.join(sorted(twice))}.")
