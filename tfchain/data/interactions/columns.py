"""The kinds of columns that describe users and items: found in the values, or named."""

import datetime
import decimal
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.values import is_missing, to_plain

ColumnKind = Literal["category", "categories", "number", "text", "timestamp"]
SEPARATOR = "|"  # between several categories in one cell, as MovieLens writes genres
MOST_CATEGORIES = 1000  # a column of words with more different values is text
WORDS_OF_TEXT = 2.0  # words of a value, on average, from which on a column is text


def check_kinds(kinds: Mapping[str, Any], columns: Sequence[str], name: str) -> None:
    """Raises if named kinds are unknown, or belong to columns that a table does not have.

    Args:
        kinds: Column → kind.
        columns: The table's columns.
        name: The table's name, for errors.

    Raises:
        InputError: with the column.
    """
    for column, kind in kinds.items():
        if kind not in get_args(ColumnKind):
            raise InputError(
                f"The kind of the column `{column}` must be one of {', '.join(get_args(ColumnKind))}. "
                f"Received: {kind!r}."
            )
        if column not in columns:
            raise InputError(
                f"`kinds` must name columns of `{name}`, which has {', '.join(columns) or 'none besides its ids'}. "
                f"Received: {column!r}."
            )


def infer_kind(values: Sequence[Any]) -> ColumnKind | None:
    """Returns the kind of a column; None if it has no values.

    Numbers, and strings that are all numbers, are `number`; dates are `timestamp`; lists, and strings of which one
    holds `|`, are `categories`. Other strings are `text` if they have two words or more on average, or more than 1,000
    different values; else they are a `category`, as are booleans.

    Args:
        values: The values; missing ones are None.
    """
    found = [value for value in values if value is not None]
    if not found:
        return None
    if any(isinstance(value, list | tuple | set) for value in found):
        return "categories"
    if all(isinstance(value, bool) for value in found):
        return "category"
    if all(isinstance(value, datetime.date | np.datetime64) for value in found):
        return "timestamp"
    if all(_to_number(value) is not None for value in found):
        return "number"
    texts = [str(value) for value in found]
    if any(SEPARATOR in text for text in texts):
        return "categories"
    words = sum(len(text.split()) for text in texts) / len(texts)
    return "text" if words >= WORDS_OF_TEXT or len(set(texts)) > MOST_CATEGORIES else "category"


def convert(values: Sequence[Any], kind: ColumnKind, column: str, name: str) -> list[Any]:
    """Returns a column's values as its kind has them.

    Args:
        values: The values as found.
        kind: The kind.
        column: The column's name, for errors.
        name: The table's name, for errors.

    Returns:
        Strings for `category` and `text`, tuples of strings for `categories`, floats for `number` and `timestamp`
        (seconds since 1970), each None where it is missing; missing `categories` are an empty tuple.

    Raises:
        InputError: if a value is not of the kind; with its row.
    """
    found = []
    for row, value in enumerate(values):
        try:
            found.append(_convert_value(value, kind))
        except (TypeError, ValueError):
            raise InputError(
                f"{name}[{row}]: the column `{column}` must hold values of the kind {kind}. Received: {value!r:.60}. "
                "Mend the value, or name the column's kind with `kinds`."
            ) from None
    return found


def clean(value: Any) -> Any:
    """Returns a value as plain Python has it, and None where it is missing or an empty string."""
    value = to_plain(value)
    return None if is_missing(value) or value == "" else value


def change_kind(values: Sequence[Any], old: ColumnKind, new: ColumnKind, column: str, name: str) -> list[Any]:
    """Returns the values of a column as another kind has them.

    Args:
        values: The values, as `convert` returned them.
        old: Their kind.
        new: The wanted kind.
        column: The column's name, for errors.
        name: The table's name, for errors.

    Raises:
        InputError: if the values cannot be told from numbers, or are not of the kind.
    """
    numeric = ("number", "timestamp")
    if old == new or (old in numeric and new in numeric):
        return list(values)
    if old in numeric:  # "007" and 7 are the same number
        raise InputError(
            f"The column `{column}` of `{name}` must be of the kind that the chain was trained with, {new}. Received: "
            f"{old}. Name its kind when the table is read: InteractionOptions(…_kinds={{{column!r}: {new!r}}})."
        )
    if old == "categories":
        values = [SEPARATOR.join(value) or None for value in values]
    return convert(values, new, column, name)


def to_seconds(value: Any) -> float:
    """Returns a moment as seconds since 1970: of a number itself, of a date or ISO 8601 text what it says, in UTC.

    Raises:
        ValueError: if it is none of them, or not finite.
    """
    number = _to_number(value)
    if number is not None:
        return number
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype("int64")) / 1e6
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime.datetime):
        raise ValueError("not a moment")
    return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()


def _convert_value(value: Any, kind: ColumnKind) -> Any:
    if kind == "categories":
        if value is None:
            return ()
        parts = value if isinstance(value, list | tuple | set) else str(value).split(SEPARATOR)
        words = [_to_text(part) for part in parts if not is_missing(part) and str(part)]
        return tuple(sorted(words) if isinstance(value, set) else words)  # a set has another order in each process
    if value is None:
        return None
    if kind == "timestamp":
        return to_seconds(value)
    if kind == "number":
        number = _to_number(value)
        if number is None:
            raise ValueError("not a number")
        return number
    return _to_text(value)


def _to_text(value: Any) -> str:
    text = str(value)
    text.encode()  # raises for half of a surrogate pair, which no file can hold
    return text


def _to_number(value: Any) -> float | None:
    """Returns a finite number, also one written as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | decimal.Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
