"""Single JSON values as text, as TensorFlow Serving writes them: floats, strings, and values quoted in error texts."""

import json.encoder
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np

MAX_DUMP_BYTES = 256
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
    if not values.size:
        return []
    numbers = values.tolist()
    texts = ("%g\n" * len(numbers) % tuple(numbers)).split()
    if values.dtype == np.float32:
        with np.errstate(over="ignore"):
            read = np.fromiter(map(float, texts), np.float64, len(texts)).astype(np.float32)
        full = "%.9g"
    else:
        read = np.fromiter(map(float, texts), np.float64, len(texts))
        full = "%.17g"
    for position in np.flatnonzero(read != values).tolist():
        texts[position] = full % numbers[position]
    return [text if "." in text or "e" in text else _finish_float(text) for text in texts]


def _finish_float(text: str) -> str:
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
