"""Writes single JSON values like TensorFlow Serving: floats, strings, and values quoted in error texts."""

import json.encoder
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np

MAX_DUMP_BYTES = 256
_MANY = 64  # from this many floats on, it pays to examine all of them at once
INDENT = "    "
_LOWER_ESCAPE = re.compile(r"(\\\\)|\\u00[01][a-f]")
_CONTROLS = bytes(range(32))
_quote = json.encoder.encode_basestring


def quote(text: str) -> str:
    """Writes a JSON string: non-ASCII characters unchanged, control characters escaped with upper-case digits."""
    quoted = _quote(text)
    if "\\u00" in quoted:
        quoted = _LOWER_ESCAPE.sub(lambda match: match[1] or "\\u00" + match[0][4:].upper(), quoted)
    return quoted


def quote_utf8(text: bytes) -> str:
    """Writes a JSON string as `quote` does, of a text in UTF-8; bytes that are not UTF-8 become lone surrogates.

    Texts seldom have anything else to escape than quotes, backslashes and ends of lines, and replacing these takes a
    tenth of the time of looking at each character.
    """
    plain = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    if plain.translate(None, _CONTROLS) == plain:
        return f'"{plain.decode("utf-8", "surrogateescape")}"'
    return quote(text.decode("utf-8", "surrogateescape"))


def format_floats(values: np.ndarray) -> list[str]:
    """Writes floats: with six digits if these give the same number back, else with all (9 for float, 17 for double).

    Whole numbers end in `.0`; large and small numbers are in scientific notation, as in C's `%g`.

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
    """Finds floats that six digits cannot represent, so that they need not be tried.

    The nearest number of six digits must be farther away than any number that parses to the float (half the distance to
    its neighbour, plus a margin for the rounding of doubles).
    """
    with np.errstate(invalid="ignore"):
        exact = np.abs(values.astype(np.float64))
    is_usual = np.isfinite(exact) & (exact > 1e-30)
    exact = np.where(is_usual, exact, 1.0)
    scale = 10.0 ** (5.0 - np.floor(np.log10(exact)))
    distance = np.abs(np.rint(exact * scale) / scale - exact)
    return is_usual & (distance > 0.51 * np.spacing(exact.astype(np.float32)))


def _merge(is_first: np.ndarray, first: list[str], second: list[str]) -> list[str]:
    """Merges two lists: takes the next element of the first where the mask is True, else of the second."""
    first_items, second_items = iter(first), iter(second)
    return [next(first_items) if mask else next(second_items) for mask in is_first.tolist()]


def _format_all(form: str, numbers: list[float]) -> list[str]:
    """Formats many numbers in one call, which is several times as fast as a call per number."""
    return ((form + "\n") * len(numbers) % tuple(numbers)).split()


def _finish(texts: list[str]) -> list[str]:
    return [text if "." in text or "e" in text else _finish_one(text) for text in texts]


def _finish_one(text: str) -> str:
    """Marks a whole number as a float; writes non-finite numbers in JSON's dialects."""
    if text[-1].isdigit():
        return text + ".0"
    return "NaN" if "nan" in text else "-Infinity" if text[0] == "-" else "Infinity"


def type_name(value: Any) -> str:
    """Returns a JSON value's type name in error texts."""
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
    """Writes a JSON value for an error text, truncated to 256 bytes."""
    if isinstance(value, float):
        is_float = abs(value) <= float(np.finfo(np.float32).max)
        return format_floats(np.array([value], np.float32 if is_float else np.float64))[0]
    pieces: list[str] = []
    _dump_into(value, "\n", pieces, [MAX_DUMP_BYTES])
    data = "".join(pieces).encode("utf-8", "surrogateescape")
    return data[:MAX_DUMP_BYTES].decode("utf-8", "surrogateescape")


def _dump_into(value: Any, line: str, pieces: list[str], left: list[int]) -> None:
    """Appends the formatted text of a value; stops at the limit, so that a huge request costs little."""
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
    """Writes a float in a quoted value with the fewest digits, in rapidjson's form: `1e30`, `0.00001`, `2.0`."""
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
