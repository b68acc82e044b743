"""Tables of documents or pairs: .csv, .tsv and .parquet files and data frames, with checked column names."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import DataFile, open_path, to_file
from tfchain.data.files.lines import BadLineError, LineReader
from tfchain.data.files.paths import check_name
from tfchain.data.files.place import Block, Place, places_from
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.values import from_arrow

BLOCK_ROWS = 1024
ChooseColumns = Callable[[list[str], Place], Sequence[str]]
PANDAS_INDEX = "__index_level_"  # pandas' name for row labels in Arrow: not one of the user's columns


def read_cells(
    path: Path | DataFile, choose: ChooseColumns, session: ReadSession | None = None
) -> Iterator[tuple[Place, dict[str, str | None]]]:
    """Reads the rows of a `.csv` or `.tsv` file (also compressed) below its line of column names.

    A file that is not UTF-8 is read in the encoding that it looks like, if there is enough of it to tell.

    Args:
        path: The file. Its name decides the delimiter.
        choose: Takes the columns' names and the place of their line; returns the names of the columns to read, or
            raises.
        session: Limits, and what becomes of broken rows. Default: the first one is an error.

    Yields:
        The place where a row begins, and its cells by column: strings, `None` for empty cells.

    Raises:
        InputError: if the file is missing, damaged, or more rows than the session bears are broken; with the line's
            number.
    """
    file, session = to_file(path), session or ReadSession()
    delimiter = "\t" if file.ending == ".tsv" else ","
    with LineReader(file, session, detect=True, keep_bad=True) as lines:
        rows = csv.reader(Texts(lines), delimiter=delimiter, strict=True)
        columns: list[str] | None = None
        chosen: set[str] = set()
        while True:
            number = lines.number + 1  # where the row begins: a quoted cell may span lines
            place = Place(f"{file}:", number)
            lines.row_bytes = 0
            try:
                row = next_row(rows)
            except StopIteration:
                return
            except csv.Error as error:
                message = (
                    f"{place}: broken row: {error}. Expected cells between {delimiter!r}, and a cell that holds "
                    "quotes, delimiters or line ends in double quotes, its own quotes doubled."
                )
                session.reject(InputError(message), place)
                continue
            except BadLineError as error:  # too long: where the next row begins cannot be known
                raise InputError(f"{error} The rows after it are not read.") from None
            if lines.bad_line is not None:
                session.reject(lines.bad_line, place, lines.bad_line.data)
                lines.bad_line = None
                continue
            if not row:
                continue
            if columns is None:
                columns = row
                check_distinct(columns, str(file))
                chosen = set(choose(columns, Place(f"{file}:", number, " (the line of column names)")))
            elif len(row) != len(columns):
                message = f"{place}: expected {len(columns)} cells ({', '.join(columns)}). Received: {len(row)}."
                session.reject(InputError(message), place, row)
            else:
                cells = zip(columns, row, strict=True)
                yield place, {name: cell or None for name, cell in cells if name in chosen}


def next_row(rows: Iterator[list[str]]) -> list[str]:
    """Reads a row with cells of any length, and restores the csv module's limit, which is global to the process."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return next(rows)
    finally:
        csv.field_size_limit(limit)


class Texts:
    """The texts of a file's lines; unlike a generator, it goes on after an error."""

    def __init__(self, lines: LineReader) -> None:
        self._lines = lines

    def __iter__(self) -> "Texts":
        return self

    def __next__(self) -> str:
        return next(self._lines)[1]


def read_parquet(path: Path | DataFile, choose: ChooseColumns, session: ReadSession | None = None) -> Iterator[Block]:
    """Reads a Parquet file in blocks of rows.

    Args:
        path: The file.
        choose: Takes the columns' names and the file's place; returns the names of the columns to read, or raises.
        session: The limits. Default: the usual ones.

    Raises:
        InputError: if the file is missing or broken, or a value cannot be read; with the row and the column.
    """
    import pyarrow
    from pyarrow import parquet

    data_file, session = to_file(path), session or ReadSession()
    if data_file.path is not None:
        check_name(data_file.path)
        open_path(data_file.path).close()  # raises the same error for a missing file as the other formats
    source = data_file.path or data_file.open_seekable(session.limits)
    try:
        with parquet.ParquetFile(source, pre_buffer=False) as file:
            found = file.schema_arrow.names
            check_distinct(found, str(data_file))
            names = list(choose(found, Place(str(data_file))))
            batches = file.iter_batches(batch_size=BLOCK_ROWS, columns=None if names == found else names)
            yield from to_blocks(batches, names, f"{data_file}, row ", 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"Could not read {data_file} as Parquet: {str(error).splitlines()[0]}") from error
    finally:
        if data_file.path is None:
            source.close()  # type: ignore[union-attr]


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
        if "[ns" not in str(array.type):  # where pandas is installed, these become its types
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
