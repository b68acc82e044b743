"""Metadata of documents: only values that JSON can hold."""

import datetime
import decimal
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.values import is_missing, to_iso, to_plain

MOST_LEVELS = 100  # a few hundred more, and Python raises a RecursionError when it copies or writes nested values


def to_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns a document's metadata into plain Python values that JSON can hold.

    NumPy and Arrow values become Python values, dates become ISO 8601 strings, decimals and UUIDs become strings, and
    missing values (NaN, NaT, pandas' NA) become `None`.

    Raises:
        InputError: if a key is not a string of valid Unicode, or a value cannot be converted; with the key.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"A document's `metadata` must be a dict. Received: {values!r:.60} of type {type(values).__name__}. Use "
            "metadata={'name': value}."
        )
    return {check_key(key): to_json(value, key, 1) for key, value in values.items()}


def to_json(value: Any, key: str, level: int) -> Any:
    """Converts a value and everything in it; `key` is its path, for the error, and `level` its depth."""
    if is_missing(value):
        return None
    value = to_plain(value)
    if isinstance(value, Mapping | list | tuple):
        if level == MOST_LEVELS:
            raise InputError(
                f"metadata {key[:60]!r}… must be nested at most {MOST_LEVELS} levels deep. Received: more. Flatten "
                "it, or write it as a JSON string."
            )
        if isinstance(value, Mapping):
            return {check_key(name, key): to_json(inner, f"{key}.{name}", level + 1) for name, inner in value.items()}
        return [to_json(inner, f"{key}[{place}]", level + 1) for place, inner in enumerate(value)]
    return None if is_missing(value) else scalar_to_json(value, key)


def scalar_to_json(value: Any, key: str) -> Any:
    """Converts a plain value that contains no others; `key` is its path, for the error."""
    if isinstance(value, str):
        return check_string(value, f"metadata {key!r:.200}")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return check_number(value, key)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, np.datetime64):
        return to_iso(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    raise InputError(
        f"metadata {key!r:.200} must be something that JSON can hold. Received: {value!r:.60} of type "
        f"{type(value).__name__}. Convert it to a string or a number, or leave it out."
    )


def check_key(key: Any, parent: str = "") -> str:
    """Returns a key; raises an InputError if it is not a string of valid Unicode."""
    if not isinstance(key, str):
        raise InputError(
            f"metadata keys must be strings. Received: {key!r:.60} of type {type(key).__name__}"
            + (f" in {parent!r:.200}." if parent else ".")
        )
    return check_string(key, f"metadata keys (here {parent!r:.200})" if parent else "metadata keys")


def check_string(value: str, what: str) -> str:
    """Returns a string as a plain `str`; raises an InputError if it contains half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} must be valid Unicode. Received: a lone surrogate {value[error.start]!r} at character "
            f"{error.start} of {value[:40]!r}. Fix it with `text.encode('utf-8', 'replace').decode()`."
        ) from None
    return str(value)


def check_number(value: int, key: str) -> int:
    """Returns a whole number; raises an InputError if it has more digits (4,300) than Python writes or reads."""
    try:
        str(value)
    except ValueError:
        raise InputError(
            f"metadata {key!r:.200} must be a number that JSON readers accept, of at most 4,300 digits. Received: a "
            f"whole number of {value.bit_length():,} bits. Convert it to a string, such as hex(value)."
        ) from None
    return value
