"""Single values of users' data: missing values, conversion to plain Python values, dates as text, and ids."""

import datetime
import decimal
import uuid
from typing import Any

import numpy as np

from tfchain.core.errors import InputError


def is_missing(value: Any) -> bool:
    """Returns whether a value is missing: `None`, NaN, NaT, or pandas' NA.

    An empty string is a value; readers of cells, where only the empty string can mean "missing", turn it into `None`.
    """
    if value is None:
        return True
    if type(value) is str:  # nearly always
        return False
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    if isinstance(value, float | np.floating | np.datetime64 | np.timedelta64 | datetime.date | datetime.timedelta):
        return bool(value != value)  # pandas' NaT is a datetime, and like NaN not equal to itself
    return type(value).__name__ == "NAType"  # pandas' NA: comparisons with it return NA


def to_plain(value: Any) -> Any:
    """Turns a NumPy or Arrow value into a Python value; NumPy's dates and everything else stay unchanged."""
    if type(value) is str:  # nearly always
        return value
    if isinstance(value, np.floating):
        return float(value)  # `tolist` does not convert a long double
    if isinstance(value, np.ndarray) and value.dtype.kind in "mM":  # `tolist` would turn nanoseconds into numbers
        return list(value) if value.ndim else value[()]
    if isinstance(value, np.generic | np.ndarray) and not isinstance(value, np.datetime64 | np.timedelta64):
        return value.tolist()
    return from_arrow(value) if hasattr(value, "as_py") else value


def from_arrow(scalar: Any) -> Any:
    """Converts an Arrow scalar to a Python value.

    Dates and times that Python cannot represent (nanoseconds, the year 10000) become ISO 8601 text, in UTC if they have
    a time zone.
    """
    from pyarrow import types

    kind = scalar.type
    try:
        if not has_nanoseconds(scalar):
            return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    if types.is_timestamp(kind) or types.is_date(kind):
        unit: Any = kind.unit if types.is_timestamp(kind) else "D" if types.is_date32(kind) else "ms"
        text = to_iso(np.datetime64(scalar.value, unit))
        return f"{text}+00:00" if types.is_timestamp(kind) and kind.tz else text
    if types.is_time(kind):
        return str(to_iso(np.datetime64(scalar.value, kind.unit))).partition("T")[2]
    if types.is_duration(kind):
        return np.timedelta64(scalar.value, kind.unit)
    if types.is_map(kind):
        return [tuple(from_arrow(part) for part in entry.values()) for entry in scalar.values]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [from_arrow(item) for item in scalar.values]
    if types.is_struct(kind):
        return {name: from_arrow(value) for name, value in scalar.items()}
    if types.is_dictionary(kind):
        return from_arrow(scalar.value)
    return scalar.as_py()


def has_nanoseconds(scalar: Any) -> bool:
    """Returns whether an Arrow scalar has nanoseconds that Python's types would lose, or pandas', if it is there."""
    from pyarrow import types

    kind = scalar.type
    is_moment = types.is_timestamp(kind) or types.is_time64(kind) or types.is_duration(kind)
    return is_moment and kind.unit == "ns" and scalar.is_valid and scalar.value % 1000 != 0


def to_iso(moment: np.datetime64) -> str | None:
    """Returns a NumPy date in ISO 8601, as `datetime.isoformat` writes it if Python has the date; `None` for NaT."""
    if np.isnat(moment):
        return None
    unit = np.datetime_data(moment.dtype)[0]
    if unit not in ("Y", "M", "W", "D") and moment == moment.astype("datetime64[us]"):
        plain = moment.astype("datetime64[us]").item()
        if isinstance(plain, datetime.datetime):  # else a year that Python cannot represent
            return plain.isoformat()
    return str(moment)


def to_id(value: Any, what: str) -> str | None:
    """Returns an id as text; `None` if it is missing or empty.

    Args:
        value: A string, a whole number (Python's or NumPy's), or a UUID.
        what: What the id belongs to, such as `A document`, for the error.

    Raises:
        InputError: if the value has another type, too many digits, or a NUL character.
    """
    value = to_plain(value)
    if is_missing(value):
        return None
    if isinstance(value, uuid.UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        try:
            return str(value)
        except ValueError:
            raise InputError(
                f"{what}'s `id` must be a string, or a whole number of at most 4,300 digits. Received: a longer one. "
                "Convert it to text."
            ) from None
    if not isinstance(value, str):
        raise InputError(
            f"{what}'s `id` must be a string. Received: id={value!r:.60} of type {type(value).__name__}. Convert it to "
            "text (whole numbers and UUIDs are converted for you)."
        )
    if "\0" in value:
        raise InputError(
            f"{what}'s `id` must not contain the NUL character, which ends strings in C libraries. Received: "
            f"{value!r:.60}. Leave the character out."
        )
    return str(value) or None
