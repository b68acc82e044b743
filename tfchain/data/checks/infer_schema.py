"""Infers a schema from rows that are known to be good."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.checks.languages import LEAST_CHARACTERS, DetectLanguage, name_language
from tfchain.data.checks.schema import Column, ColumnType, Schema, is_number
from tfchain.data.files.values import is_missing, to_plain
from tfchain.data.steps.record import ID_NAMES, TEXT_NAMES, Record, to_dict

MOST_VALUES = 200  # distinct values of a column that can be a list of what is allowed
ROWS_A_VALUE = 5  # on average at least, so that a list of allowed values is not all rows' own
LANGUAGE_SHARE = 0.01  # rarer languages are taken for mistakes of the detector
LANGUAGE_ROWS = 2000  # whose languages are detected

CountTokens = Callable[[Sequence[str]], Sequence[int]]


class ColumnFacts:
    """What is known of a column so far; its memory is bounded by 200 values, but for the hashes of ids.

    Args:
        name: The column's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.present = 0
        self.types: Counter[ColumnType] = Counter()
        self.bounds: dict[str, tuple[float, float]] = {}
        self.values: Counter[Any] | None = None if name in TEXT_NAMES or name in ID_NAMES else Counter()
        self.hashes: set[int] | None = set() if name in ID_NAMES else None
        self.languages: Counter[str] = Counter()

    def add(self, value: Any) -> None:
        """Adds a value that is not missing."""
        self.present += 1
        kind = type_of(value)
        if kind is not None:
            self.types[kind] += 1
        if isinstance(value, str):
            self.widen("characters", len(value))
        elif is_number(value):
            self.widen("range", value)
        if self.values is not None and isinstance(value, str | int | bool):
            self.values[value] += 1
            if len(self.values) > MOST_VALUES:
                self.values = None
        if self.hashes is not None:
            key = hash(str(value))
            if key in self.hashes:
                self.hashes = None
            else:
                self.hashes.add(key)

    def widen(self, name: str, value: float) -> None:
        """Widens the bounds of this name to hold a value."""
        least, most = self.bounds.get(name, (value, value))
        self.bounds[name] = (min(least, value), max(most, value))

    def to_column(self, num_rows: int, slack: float) -> Column:
        """Returns what the values seen say of all values."""
        kinds = set(self.types)
        kind = None if len(kinds) != 1 else next(iter(kinds))
        if kinds == {"integer", "number"}:
            kind = "number"
        allowed = self.values if kind in ("text", "integer", "boolean") else None
        listed = allowed is not None and self.present >= ROWS_A_VALUE * len(allowed) and len(allowed) > 0
        seen = sum(self.languages.values())
        languages = tuple(name for name, count in self.languages.most_common() if count >= LANGUAGE_SHARE * seen)
        bounds = {name: loosen(*found, slack) for name, found in self.bounds.items() if name != "range"}
        return Column(
            type=kind,
            required=self.present == num_rows,
            unique=self.hashes is not None and self.present == num_rows and num_rows > 1,
            characters=None if listed or self.name in ID_NAMES else bounds.get("characters"),
            tokens=bounds.get("tokens"),
            range=None if listed else self.bounds.get("range"),
            values=tuple(sorted(allowed, key=str)) if listed and allowed is not None else None,
            languages=languages or None,
        )


def infer_schema(
    rows: Iterable[Record],
    *,
    count_tokens: CountTokens | None = None,
    detect_language: DetectLanguage | None = None,
    slack: float = 2.0,
) -> Schema:
    """Infers what rows look like, for the next data to be held to: edit what it writes.

    Args:
        rows: Dicts or `Document`s that are known to be good; read once, and not kept.
        count_tokens: Returns the number of tokens of each text; texts then get bounds in tokens, too. Default: none.
        detect_language: Returns the language of a text; the first 2,000 rows then say which languages are allowed:
            those of at least one text in a hundred. Default: none.
        slack: How much longer and shorter than the rows' other texts may be: 2 allows twice the most and half the least
            characters. 1 allows nothing else. Default: 2.

    Returns:
        The schema. A column is required if every row has it, unique if it is an id that no row repeats, and has a list
        of allowed values if it is no text and each of at most 200 values is in five rows on average.

    Raises:
        InputError: if there are no rows, or `slack` is below 1.
    """
    if not is_number(slack) or slack < 1:
        raise InputError(f"`slack` must be at least 1. Received: slack={slack!r}. Use 2.", argument="slack")
    facts: dict[str, ColumnFacts] = {}
    num_rows = 0
    for row in rows:
        num_rows += 1
        for name, given in to_dict(row).items():
            value = to_plain(given)
            if is_absent(value):
                continue
            column = facts.setdefault(str(name), ColumnFacts(str(name)))
            column.add(value)
            if isinstance(value, str) and name in TEXT_NAMES:
                if count_tokens is not None:
                    column.widen("tokens", count_tokens([value])[0])
                if detect_language is not None and num_rows <= LANGUAGE_ROWS and len(value) >= LEAST_CHARACTERS:
                    column.languages[name_language(detect_language, value)] += 1
    if not num_rows:
        raise InputError("A schema is inferred from at least one row. Received: none.", argument="rows")
    return Schema({name: column.to_column(num_rows, slack) for name, column in facts.items()})


def type_of(value: Any) -> ColumnType | None:
    """Returns the type of a value; `None` if a schema has no name for it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list | tuple):
        return "list"
    return "dict" if isinstance(value, Mapping) else None


def is_absent(value: Any) -> bool:
    """Returns whether a value is missing, or a text without anything in it."""
    return is_missing(value) or (isinstance(value, str) and not value.strip())


def loosen(least: float, most: float, slack: float) -> tuple[float, float]:
    """Returns wider whole bounds."""
    return int(least / slack), int(-(-most * slack // 1))
