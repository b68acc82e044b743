"""Metadata by key: which documents have which values, so that a condition is one comparison of an array."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Protocol

import numpy as np

Scalar = bool | int | float | str
Ranked = tuple[int, Scalar]  # the kind of a value and the value: what values of any kind are sorted and compared by
BOOLEAN, NUMBER, STRING = range(3)
_SCALARS = {bool, int, float, str}


def rank(value: Scalar) -> Ranked:
    """Returns a value with its kind: true and 1 are different, 1 and 1.0 are equal."""
    return (BOOLEAN if isinstance(value, bool) else STRING if isinstance(value, str) else NUMBER), value


@dataclass(frozen=True)
class Column:
    """The values of a key.

    Args:
        values: The different values, in the order of `rank`.
        rows: The document of each entry, int32 `(entries,)`; a document whose value is a list has several.
        codes: The place in `values` of each entry's value, int32 `(entries,)`.
    """

    values: Sequence[Scalar]
    rows: np.ndarray
    codes: np.ndarray

    @functools.cached_property
    def ranked(self) -> list[Ranked]:
        """The values with their kinds, sorted."""
        return [rank(value) for value in self.values]


class ColumnSource(Protocol):
    """Documents whose metadata is read by key."""

    num_documents: int

    def column(self, key: str) -> Column | None:
        """Returns the values of a key; None if no document has it."""


class MetadataColumns:
    """Columns of metadata in memory, each made when a filter first reads its key.

    Args:
        metadata: The metadata of each document.
    """

    def __init__(self, metadata: Sequence[Mapping[str, Any]]) -> None:
        self.num_documents = len(metadata)
        self._metadata = metadata
        self._columns: dict[str, Column | None] = {}

    def column(self, key: str) -> Column | None:
        """Returns the values of a key; None if no document has it."""
        if key not in self._columns:
            self._columns[key] = self._make_inner(key) if "." in key else self._make_outer(key)
        return self._columns[key]

    def _make_outer(self, key: str) -> Column | None:
        """Makes the column of a key that is no path: only the outermost dict can have it."""
        values: list[Any] = [metadata.get(key) for metadata in self._metadata]
        kinds = set(map(type, values))
        if kinds <= _SCALARS:
            return make_column(range(len(values)), values)
        rows: list[int] = []
        found: list[Scalar] = []
        if kinds <= {*_SCALARS, NoneType}:
            rows = [row for row, value in enumerate(values) if value is not None]
            found = [value for value in values if value is not None]
        else:
            for row, value in enumerate(values):
                _add_items(row, value, rows, found)
        return make_column(rows, found)

    def _make_inner(self, key: str) -> Column | None:
        """Makes the column of a key that may be a path into inner dicts."""
        rows, found = [], []
        for row, metadata in enumerate(self._metadata):
            for name, value in list_values(metadata, wanted=key):
                if name == key:
                    rows.append(row)
                    found.append(value)
        return make_column(rows, found)


def make_columns(metadata: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Returns the columns of all keys.

    Args:
        metadata: The metadata of each document.
    """
    entries: dict[str, tuple[list[int], list[Scalar]]] = {}
    for row, values in enumerate(metadata):
        for key, value in list_values(values):
            rows, found = entries.setdefault(key, ([], []))
            rows.append(row)
            found.append(value)
    made = {key: make_column(rows, found) for key, (rows, found) in entries.items()}
    return {key: column for key, column in made.items() if column is not None}


def make_column(rows: Sequence[int], values: Sequence[Scalar]) -> Column | None:
    """Returns the column of a key; None without entries.

    Args:
        rows: The document of each entry.
        values: The value of each entry.
    """
    if not rows:
        return None
    kinds = set(map(type, values))
    if kinds <= {str, int, float} or kinds <= {str, bool}:  # values that are equal are of one kind
        different = dict.fromkeys(values)
        if len(kinds) == 1:
            ordered = sorted(different)
        else:
            strings = sorted(value for value in different if isinstance(value, str))
            ordered = [*sorted(value for value in different if not isinstance(value, str)), *strings]
        places: dict[Any, int] = {value: place for place, value in enumerate(ordered)}
        codes = map(places.__getitem__, values)
    else:
        ranked = list(map(rank, values))
        in_order = sorted(dict.fromkeys(ranked))
        ordered = [value for _, value in in_order]
        places = {one: place for place, one in enumerate(in_order)}
        codes = map(places.__getitem__, ranked)
    return Column(ordered, np.fromiter(rows, np.int32, len(rows)), np.fromiter(codes, np.int32, len(rows)))


def list_values(metadata: Any, prefix: str = "", wanted: str | None = None) -> Iterator[tuple[str, Scalar]]:
    """Yields the keys and values of a document's metadata.

    The key of a value in an inner dict is its path, joined by dots; each item of a list is a value of the list's key;
    None is as good as no value.

    Args:
        metadata: The metadata, or a part of it.
        prefix: The part's key, followed by a dot. Default: the whole.
        wanted: The only key of interest; others may be left out. Default: all.
    """
    for name, value in metadata.items():
        key = prefix + name
        if wanted is None or key == wanted or wanted.startswith(key + "."):
            yield from _list_items(value, key, wanted)


def _list_items(value: Any, key: str, wanted: str | None) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, Mapping):
        yield from list_values(value, f"{key}.", wanted)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _list_items(item, key, wanted)
    elif value is not None:
        yield key, value


def _add_items(row: int, value: Any, rows: list[int], found: list[Scalar]) -> None:
    """Adds the entries that `_list_items` yields of a value for the value's own key, much faster."""
    if type(value) in _SCALARS:
        rows.append(row)
        found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _add_items(row, item, rows, found)
    elif value is not None and not isinstance(value, Mapping):
        rows.append(row)
        found.append(value)
