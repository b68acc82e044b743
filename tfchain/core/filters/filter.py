"""The language of filters: conditions on documents' metadata, for a chain's `search` and a server's `/v1/search`.

    {"language": "en", "year": {"$gte": 2020, "$lt": 2023}, "$not": {"tags": {"$in": ["draft", "old"]}}}

The words are MongoDB's, as in Pinecone, Chroma and LangChain; docs/filters.md describes them.
"""

import bisect
import datetime
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.filters.columns import BOOLEAN, Column, ColumnSource, Ranked, rank

MOST_LEVELS = 20  # of conditions within conditions
MOST_VALUES = 10_000  # to compare with, in a filter
MASK_BYTES = 32 << 20  # of masks that are kept
COMPARISONS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists")
COMBINATIONS = ("$and", "$or", "$not")


class Filter(Protocol):
    """A condition; equal ones are equal and have the same hash."""

    def find(self, source: ColumnSource) -> np.ndarray:
        """Returns which documents meet the condition, booleans `(documents,)`."""


def parse_filter(values: Any) -> Filter:
    """Reads a filter.

    Args:
        values: A dict of keys and conditions, all of which a document must meet; `{}` lets all through.

    Raises:
        InputError: if it is not a filter; with the condition that is wrong.
    """
    return _Parser().parse(values, 1)


class FilterMasks:
    """Which documents filters let through; those asked for last are kept. Threads may share it.

    Args:
        source: The documents.
    """

    def __init__(self, source: ColumnSource) -> None:
        self._source = source
        self._masks: OrderedDict[Filter, np.ndarray] = OrderedDict()
        self._most = max(1, MASK_BYTES // max(1, source.num_documents))
        self._lock = threading.Lock()

    def find(self, asked: Filter) -> np.ndarray:
        """Returns which documents a filter lets through, booleans `(documents,)`, not to be written to."""
        with self._lock:
            mask = self._masks.get(asked)
            if mask is not None:
                self._masks.move_to_end(asked)
                return mask
        mask = asked.find(self._source)
        with self._lock:
            self._masks[asked] = mask
            while len(self._masks) > self._most:
                self._masks.popitem(last=False)
        return mask


@dataclass(frozen=True)
class _All:
    """All of several conditions; none let everything through."""

    parts: tuple[Filter, ...]

    def find(self, source: ColumnSource) -> np.ndarray:
        mask = np.ones(source.num_documents, bool)
        for part in self.parts:
            mask &= part.find(source)
        return mask


@dataclass(frozen=True)
class _Any:
    """At least one of several conditions."""

    parts: tuple[Filter, ...]

    def find(self, source: ColumnSource) -> np.ndarray:
        mask = np.zeros(source.num_documents, bool)
        for part in self.parts:
            mask |= part.find(source)
        return mask


@dataclass(frozen=True)
class _Not:
    """The opposite of a condition."""

    part: Filter

    def find(self, source: ColumnSource) -> np.ndarray:
        mask: np.ndarray = ~self.part.find(source)
        return mask


@dataclass(frozen=True)
class _Exists:
    """A key that a document has."""

    key: str

    def find(self, source: ColumnSource) -> np.ndarray:
        return _find(source, self.key, lambda column: [(0, len(column.values))])


@dataclass(frozen=True)
class _Equal:
    """A key of which a document has one of several values."""

    key: str
    values: tuple[Ranked, ...]

    def find(self, source: ColumnSource) -> np.ndarray:
        return _find(source, self.key, lambda column: [_range_of(column, value) for value in self.values])


@dataclass(frozen=True)
class _Compare:
    """A key of which a document has a value of the same kind on one side of a limit."""

    key: str
    operator: str
    limit: Ranked

    def find(self, source: ColumnSource) -> np.ndarray:
        return _find(source, self.key, self._range)

    def _range(self, column: Column) -> list[tuple[int, int]]:
        kind = self.limit[0]
        first = bisect.bisect_left(column.ranked, kind, key=_kind_of)
        last = bisect.bisect_right(column.ranked, kind, key=_kind_of)
        begin, end = _range_of(column, self.limit)
        return [{"$gt": (end, last), "$gte": (begin, last), "$lt": (first, begin), "$lte": (first, end)}[self.operator]]


def _kind_of(ranked: Ranked) -> int:
    return ranked[0]


def _range_of(column: Column, value: Ranked) -> tuple[int, int]:
    """Returns the places of a value: one, or none at the place where it would be."""
    return bisect.bisect_left(column.ranked, value), bisect.bisect_right(column.ranked, value)


def _find(source: ColumnSource, key: str, choose: Callable[[Column], list[tuple[int, int]]]) -> np.ndarray:
    """Returns the documents with a value of a key at one of several ranges of places."""
    mask = np.zeros(source.num_documents, bool)
    column = source.column(key)
    if column is not None:
        is_chosen = np.zeros(len(column.values), bool)
        for begin, end in choose(column):
            is_chosen[begin:end] = True
        mask[column.rows[is_chosen[column.codes]]] = True
    return mask


class _Parser:
    """Reads one filter, and counts its values."""

    def __init__(self) -> None:
        self._num_values = 0

    def parse(self, values: Any, level: int) -> Filter:
        """Reads a dict of conditions, all of which must be met."""
        if level > MOST_LEVELS:
            raise InputError(f"`filter` must be nested at most {MOST_LEVELS} levels deep. Received: more. Flatten it.")
        if not isinstance(values, Mapping):
            raise InputError(
                '`filter` must be an object of metadata keys and conditions, such as {"language": "en"}. '
                f"Received: {_show(values)}."
            )
        parts = [self._parse_condition(key, value, level) for key, value in values.items()]
        return parts[0] if len(parts) == 1 else _All(tuple(parts))

    def _parse_condition(self, key: Any, value: Any, level: int) -> Filter:
        if not isinstance(key, str):
            raise InputError(f"The keys of `filter` must be strings. Received: {_show(key)}.")
        if key == "$not":
            return _Not(self.parse(value, level + 1))
        if key in COMBINATIONS:
            if not isinstance(value, list | tuple) or not value:
                raise InputError(f"`{key}` of `filter` must be a list of filters. Received: {_show(value)}.")
            parts = tuple(self.parse(part, level + 1) for part in value)
            return _All(parts) if key == "$and" else _Any(parts)
        if key.startswith("$"):
            raise InputError(
                f"`filter` must have metadata keys, or {', '.join(COMBINATIONS)}, here. Received: {key!r:.100}."
            )
        if not isinstance(value, Mapping):
            return _Equal(key, (self._read(value, key),))
        if not value:
            raise InputError(f'{_name(key)} must have a value or a condition, such as {{"$gte": 1}}. Received: {{}}.')
        parts = tuple(self._parse_comparison(key, operator, operand) for operator, operand in value.items())
        return parts[0] if len(parts) == 1 else _All(parts)

    def _parse_comparison(self, key: str, operator: Any, operand: Any) -> Filter:
        if operator not in COMPARISONS:
            raise InputError(
                f"{_name(key)} must be compared by one of {', '.join(COMPARISONS)}. Received: {_show(operator)}. The "
                'key of a value in an inner object is its path, such as "author.name".'
            )
        if operator == "$exists":
            if not isinstance(operand, bool):
                raise InputError(f"`$exists` of {_name(key)} must be true or false. Received: {_show(operand)}.")
            return _Exists(key) if operand else _Not(_Exists(key))
        if operator in ("$in", "$nin"):
            if not isinstance(operand, list | tuple):
                raise InputError(f"`{operator}` of {_name(key)} must be a list of values. Received: {_show(operand)}.")
            among = _Equal(key, tuple(self._read(value, key) for value in operand))
            return among if operator == "$in" else _Not(among)
        value = self._read(operand, key)
        if operator in ("$eq", "$ne"):
            equal = _Equal(key, (value,))
            return equal if operator == "$eq" else _Not(equal)
        if value[0] == BOOLEAN:
            raise InputError(
                f"`{operator}` of {_name(key)} must be a number or a string. Received: {_show(operand)}. Booleans have "
                "no order: use `$eq`."
            )
        return _Compare(key, operator, value)

    def _read(self, value: Any, key: str) -> Ranked:
        """Returns a value to compare with."""
        self._num_values += 1
        if self._num_values > MOST_VALUES:
            raise InputError(f"`filter` must have at most {MOST_VALUES:,} values. Received: more. Use ranges.")
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, datetime.date | datetime.time):
            value = value.isoformat()  # as documents' metadata keeps them
        if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
            return rank(value)
        advice = 'a missing value is {"$exists": false}' if value is None else 'several values are {"$in": [...]}'
        raise InputError(
            f"{_name(key)} must be compared with a string, a finite number, true or false. Received: {_show(value)}. "
            f"In a filter, {advice}."
        )


def _name(key: str) -> str:
    return f"`filter`'s key {key!r:.100}"


def _show(value: Any) -> str:
    """Shows a value; only the kind of one that may be large or nested."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else f"{value!r:.100}"
