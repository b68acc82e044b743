"""Metadata by key: which documents have which values, so that a condition is one comparison of an array."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Scalar = bool | int | float | str
Ranked = tuple[int, Scalar]  # the kind of a value and the value: what values of any kind are sorted and compared by
BOOLEAN, NUMBER, STRING = range(3)


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
            entries = (
                (row, value)
                for row, metadata in enumerate(self._metadata)
                for name, value in list_values(metadata, wanted=key)
                if name == key
            )
            self._columns[key] = make_column(entries)
        return self._columns[key]


def make_columns(metadata: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Returns the columns of all keys.

    Args:
        metadata: The metadata of each document.
    """
    entries: dict[str, list[tuple[int, Scalar]]] = {}
    for row, values in enumerate(metadata):
        for key, value in list_values(values):
            entries.setdefault(key, []).append((row, value))
    made = {key: make_column(found) for key, found in entries.items()}
    return {key: column for key, column in made.items() if column is not None}


def make_column(entries: Iterable[tuple[int, Scalar]]) -> Column | None:
    """Returns the column of a key; None without entries.

    Args:
        entries: Documents' rows and values.
    """
    codes: dict[Ranked, int] = {}
    rows, found = [], []
    for row, value in entries:
        rows.append(row)
        found.append(codes.setdefault(rank(value), len(codes)))
    if not rows:
        return None
    ranked = sorted(codes)
    places = np.empty(len(ranked), np.int32)
    places[[codes[one] for one in ranked]] = np.arange(len(ranked))
    return Column([value for _, value in ranked], np.array(rows, np.int32), places[found])


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
