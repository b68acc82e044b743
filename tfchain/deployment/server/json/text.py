"""Single JSON values as text, as TensorFlow Serving writes them: floats, strings, and values quoted in error texts."""

import json.encoder
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np

MAX_DUMP_BYTES = 256
_MANY = 64  # from so many floats on, a look at all of them at once pays
INDENT = "    "
_LOWER_ESCAPE = re.compile(r"(\\\\)|\\u00[01][a-f]")
_quote = json.encoder.encode_basestring


def quote(text: str) -> str:
    """Writes a JSON string: characters beyond ASCII as they are, control characters escaped with capital digits."""
    quoted = _quote(text)
    if "\\u00" in quoted:
        quoted = _LOWER_ESCAPE.sub(lambda match: match[1] or "\\u00" + match[0][4:].upper(), quoted)
    return quoted


def format_floats(values: np.ndarray) -> list[str]:
    """Writes floats: six digits where these give the same number back, else all (9 for float, 17 for double).

    Whole numbers end in `.0`, large and small ones are in scientific notation, as C's `%g` has it.

    Args:
        values: A flat array of float32 or float64.
    """
    numbers = values.tolist()
    if values.dtype == np.float32:
        full = "%.9g"
        if values.size >= _MANY and (is_long := _needs_more_than_six_digits(values)).any():
            long = _finish(_format_all(full, values[is_long].tolist()))
            return _merge(is_long, long, format_floats(values[~is_long]))
    else:
        full = "%.17g"
    texts = _format_all("%g", numbers)
    with np.errstate(over="ignore"):
        read = np.fromiter(map(float, texts), np.float64, len(texts)).astype(values.dtype)
    for position in np.flatnonzero(read != values).tolist():
        texts[position] = full % numbers[position]
    return _finish(texts)


def _needs_more_than_six_digits(values: np.ndarray) -> np.ndarray:
    """Finds floats that six digits surely do not give back, so that they need not be tried.

    The nearest number of six digits must be farther away than any number that is read as the float (half the distance
    to its neighbour; a little more, for the doubles' own rounding).
    """
    with np.errstate(invalid="ignore"):
        exact = np.abs(values.astype(np.float64))
    is_usual = np.isfinite(exact) & (exact > 1e-30)
    exact = np.where(is_usual, exact, 1.0)
    scale = 10.0 ** (5.0 - np.floor(np.log10(exact)))
    distance = np.abs(np.rint(exact * scale) / scale - exact)
    return is_usual & (distance > 0.51 * np.spacing(exact.astype(np.float32)))


def _merge(is_first: np.ndarray, first: list[str], second: list[str]) -> list[str]:
    """Puts two lists together: an element of the first where the mask says so, else one of the second."""
    rest, other = iter(first), iter(second)
    return [next(rest) if mask else next(other) for mask in is_first.tolist()]


def _format_all(form: str, numbers: list[float]) -> list[str]:
    """Formats many numbers by one call, which is several times as fast as one call a number."""
    return ((form + "\n") * len(numbers) % tuple(numbers)).split()


def _finish(texts: list[str]) -> list[str]:
    return [text if "." in text or "e" in text else _finish_one(text) for text in texts]


def _finish_one(text: str) -> str:
    """Marks a whole number as a float; spells what is no number as JSON's dialects do."""
    if text[-1].isdigit():
        return text + ".0"
    return "NaN" if "nan" in text else "-Infinity" if text[0] == "-" else "Infinity"


def type_name(value: Any) -> str:
    """Names a JSON value's type as error texts do."""
    match value:
        case None:
            return "Null"
        case True:
            return "True"
        case False:
            return "False"
        case dict():
            return "Object"
        case list():
            return "Array"
        case str():
            return "String"
        case _:
            return "Number"


def dump(value: Any) -> str:
    """Writes a JSON value for an error text, cut after 256 bytes."""
    if isinstance(value, float):
        is_float = abs(value) <= float(np.finfo(np.float32).max)
        return format_floats(np.array([value], np.float32 if is_float else np.float64))[0]
    pieces: list[str] = []
    _dump_into(value, "\n", pieces, [MAX_DUMP_BYTES])
    data = "".join(pieces).encode("utf-8", "surrogateescape")
    return data[:MAX_DUMP_BYTES].decode("utf-8", "surrogateescape")


def _dump_into(value: Any, line: str, pieces: list[str], left: list[int]) -> None:
    """Appends the pretty text of a value; stops when enough is there, so that a huge request costs little."""
    if left[0] <= 0:
        return
    if isinstance(value, dict | list) and value:
        inner = line + INDENT
        is_object = isinstance(value, dict)
        pieces.append("{" if is_object else "[")
        for position, element in enumerate(value):
            if left[0] <= 0:
                return
            pieces.append("," + inner if position else inner)
            left[0] -= len(inner)
            if is_object:
                pieces.append(quote(element) + ": ")
                left[0] -= len(element)
                element = value[element]
            _dump_into(element, inner, pieces, left)
        pieces.append(line + ("}" if is_object else "]"))
        return
    text = _dump_leaf(value)
    pieces.append(text)
    left[0] -= len(text)


def _dump_leaf(value: Any) -> str:
    match value:
        case str():
            return quote(value[: MAX_DUMP_BYTES + 1])
        case None:
            return "null"
        case True:
            return "true"
        case False:
            return "false"
        case dict():
            return "{}"
        case list():
            return "[]"
        case float():
            return _shortest(value)
        case _:
            return str(value)


def _shortest(value: float) -> str:
    """Writes a float within a quoted value with the fewest digits, in rapidjson's form: `1e30`, `0.00001`, `2.0`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    if "e" not in text:
        return text
    sign, digits, exponent = Decimal(text).as_tuple()
    point = len(digits) + int(exponent)
    number = "".join(map(str, digits))
    minus = "-" if sign else ""
    if int(exponent) >= 0 and point <= 21:
        return f"{minus}{number}{'0' * int(exponent)}.0"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{number}"
    fraction = f".{number[1:]}" if len(number) > 1 else ""
    return f"{minus}{number[0]}{fraction}e{point - 1}"
