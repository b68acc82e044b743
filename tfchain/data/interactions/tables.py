"""Tables that describe users or items: an id in each row, and columns of known kinds."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.ids import to_id
from tfchain.data.files.data_file import to_file
from tfchain.data.files.place import Block, Place
from tfchain.data.files.records import read_json_lines
from tfchain.data.files.tables import is_frame, read_cells, read_frame, read_parquet
from tfchain.data.interactions.columns import ColumnKind, change_kind, check_kinds, clean, convert, infer_kind

FILE_ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl")


@dataclass(frozen=True)
class Table:
    """Users or items with what is known of them.

    Args:
        ids: The ids, each once.
        columns: Column → a value for each id, as `columns.convert` returns them. Default: none.
        kinds: Column → its kind. Default: none.
    """

    ids: Sequence[str]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Table":
        """Returns some rows, in the given order."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return dataclasses.replace(self, ids=[self.ids[row] for row in rows], columns=columns)

    def row(self, number: int) -> dict[str, Any]:
        """Returns what is known of one of them, by column."""
        return {name: values[number] for name, values in self.columns.items()}

    def append(self, other: "Table") -> "Table":
        """Returns both tables' rows, with this table's columns; what the other lacks is missing."""
        blank = {name: () if kind == "categories" else None for name, kind in self.kinds.items()}
        columns = {
            name: [*values, *other.columns.get(name, [blank[name]] * len(other))]
            for name, values in self.columns.items()
        }
        return dataclasses.replace(self, ids=[*self.ids, *other.ids], columns=columns)

    def with_kinds(self, kinds: Mapping[str, ColumnKind], name: str) -> "Table":
        """Returns the table with the columns that are named as other kinds.

        Args:
            kinds: Column → kind; columns that the table lacks do not matter.
            name: The table's name, for errors.

        Raises:
            InputError: if a value is not of the kind.
        """
        changed = {column: kind for column, kind in kinds.items() if self.kinds.get(column, kind) != kind}
        columns = {
            column: change_kind(self.columns[column], self.kinds[column], kind, column, name)
            for column, kind in changed.items()
        }
        return dataclasses.replace(self, columns={**self.columns, **columns}, kinds={**self.kinds, **changed})

    def to_plain(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_plain` reads them."""
        columns = {name: [list(v) if isinstance(v, tuple) else v for v in vs] for name, vs in self.columns.items()}
        return {"ids": list(self.ids), "columns": columns, "kinds": dict(self.kinds)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Table":
        """Reads what `to_plain` returned."""
        columns = {name: [tuple(v) if isinstance(v, list) else v for v in vs] for name, vs in values["columns"].items()}
        return cls(list(values["ids"]), columns, dict(values["kinds"]))


def read_table(
    source: Any,
    *,
    name: str,
    id_columns: Sequence[str],
    kinds: Mapping[str, ColumnKind] | None = None,
    like: Table | None = None,
) -> Table:
    """Reads a table of users or items.

    Args:
        source: The path of a `.csv`, `.tsv`, `.parquet` or `.jsonl` file; a data frame; a list of dicts; or a `Table`,
            whose columns become those of `kinds` and `like`.
        name: What the table is, for errors, such as `items`.
        id_columns: The names that the column of ids may have; the first that the table has is taken.
        kinds: The kinds of columns whose values do not tell; the others are inferred. Default: none.
        like: A table whose columns and kinds this one must have, such as that of a training. Default: none.

    Raises:
        InputError: if there are no rows, the ids are missing or come twice, a value is not of its column's kind, or a
            column of `like` is missing.
    """
    if isinstance(source, Table):
        if like is None:
            check_kinds(kinds or {}, list(source.columns), name)
            return source.with_kinds(kinds or {}, name)
        _check_columns(source.columns, like, name)
        return source.with_kinds(like.kinds, name)
    rows = [(place, dict(record)) for place, record in iterate_rows(source, name)]
    if not rows:
        raise InputError(f"`{name}` must have at least one row. Received: none.")
    found = list(dict.fromkeys(column for _, record in rows for column in record))
    id_column = find_column(id_columns, found, name)
    ids = [read_id(record.get(id_column), id_column, place) for place, record in rows]
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice, place = next((i, p) for i, (p, _) in zip(ids, rows, strict=True) if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise InputError(f"{place}: each id of `{name}` must come once. Received: {twice!r} again. Leave a row out.")
    wanted = [column for column in found if column != id_column]
    known: dict[str, ColumnKind] = dict(kinds or {})
    if like is None:
        check_kinds(known, wanted, name)
    else:
        _check_columns(wanted, like, name)
        wanted, known = list(like.columns), dict(like.kinds)
    columns: dict[str, Sequence[Any]] = {}
    chosen: dict[str, ColumnKind] = {}
    for column in wanted:
        values = [clean(record.get(column)) for _, record in rows]
        kind = known.get(column) or infer_kind(values)
        if kind is not None:
            columns[column], chosen[column] = convert(values, kind, column, name), kind
    return Table(ids, columns, chosen)


def iterate_rows(source: Any, name: str) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yields the rows of a source that `read_table` takes, as dicts with their places.

    Raises:
        InputError: if it is something else.
    """
    if isinstance(source, str | os.PathLike):
        yield from _iterate_file(Path(source))
    elif is_frame(source):
        for block in read_frame(source, lambda columns, place: columns, name):
            yield from _iterate_block(block)
    elif isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        raise InputError(
            f"`{name}` must be the path of a {', '.join(FILE_ENDINGS)} file, a data frame, or a list of dicts. "
            f"Received: {type(source).__name__}."
        )
    else:
        for number, row in enumerate(source):
            place = Place(f"{name}[", number, "]")
            if not isinstance(row, Mapping):
                raise InputError(f"{place}: expected a dict of column and value. Received: {row!r:.60}.")
            yield place, row


def find_column(names: Sequence[str], columns: Sequence[str], table: str) -> str:
    """Returns the first of some names that a table has as a column.

    Raises:
        InputError: if it has none of them.
    """
    found = next((name for name in names if name in columns), None)
    if found is None:
        raise InputError(
            f"`{table}` must have a column named {' or '.join(map(repr, names))}. Received the columns: "
            f"{', '.join(map(str, columns)) or 'none'}. Rename one."
        )
    return found


def _iterate_file(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    ending = to_file(path).ending
    if ending in (".csv", ".tsv"):
        yield from read_cells(path, lambda columns, place: columns)
    elif ending == ".parquet":
        for block in read_parquet(path, lambda columns, place: columns):
            yield from _iterate_block(block)
    elif ending == ".jsonl":
        yield from read_json_lines(path)
    else:
        raise InputError(f"Expected a file that ends in {', '.join(FILE_ENDINGS)}. Received: {path}.")


def _iterate_block(block: Block) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for row, values in enumerate(zip(*block.columns, strict=True)):
        yield block.place(row), dict(zip(block.names, values, strict=True))


def _check_columns(columns: Iterable[str], like: Table, name: str) -> None:
    missing = [column for column in like.columns if column not in columns]
    if missing:
        raise InputError(
            f"`{name}` must have the columns that the model was trained with: {', '.join(like.columns)}. "
            f"Received: none named {missing[0]!r}. Give the column; its cells may be empty."
        )


def read_id(value: Any, column: str, place: Place) -> str:
    """Returns the id in a cell.

    Args:
        value: The cell.
        column: Its column, for errors.
        place: Its row, for errors.

    Raises:
        InputError: if the cell is empty, or holds no id.
    """
    value = clean(value)
    if value is None:
        raise InputError(f"{place}: the column `{column}` must hold an id. Received: nothing. Leave the row out.")
    if isinstance(value, float) and value.is_integer():  # a data frame's column of whole numbers with gaps
        value = int(value)
    id = to_id(value, f"{place}: an id in the column `{column}`")
    try:
        id.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{place}: an id in the column `{column}` must be Unicode. Received: {id!r:.100}, with half of a surrogate "
            "pair. Mend the id."
        ) from None
    return id
