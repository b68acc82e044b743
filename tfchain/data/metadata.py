"""Metadata of documents: what JSON can hold, and nothing else."""

import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError


def to_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns a document's metadata into plain Python values that JSON can hold.

    NumPy's and Arrow's values become Python's, dates become ISO 8601 strings, decimals become strings, and a number
    that is missing (NaN) becomes `None`.

    Raises:
        InputError: if a key is not a string or a value cannot be turned; with the key.
    """
    return {check_key(key): to_json(value, key) for key, value in values.items()}


def to_plain(value: Any) -> Any:
    """Turns a NumPy or Arrow scalar or array into Python's own; everything else passes."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value.as_py() if hasattr(value, "as_py") else value


def to_json(value: Any, key: str) -> Any:
    """Turns one value, and what is in it; `key` is its path, for the error."""
    value = to_plain(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and not math.isinf(value):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {check_key(name): to_json(inner, f"{key}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner, f"{key}[{place}]") for place, inner in enumerate(value)]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise InputError(
        f"metadata {key!r} must be something that JSON can hold. Received: {value!r:.60} of type "
        f"{type(value).__name__}. Convert it to a string or a number, or leave it out."
    )


def check_key(key: Any) -> str:
    """Raises where a key is not a string."""
    if not isinstance(key, str):
        raise InputError(f"metadata keys must be strings. Received: {key!r} of type {type(key).__name__}.")
    return key
