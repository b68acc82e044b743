"""Reads a JSON value as an array: nested lists of numbers, strings, booleans or `{"b64": "…"}`."""

import base64
import binascii
import re
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from tfchain.deployment.server.json.text import dump, type_name
from tfchain.deployment.server.servables.dtypes import (
    BY_NUMBER,
    DT_BOOL,
    DT_DOUBLE,
    DT_FLOAT,
    DT_INT8,
    DT_INT16,
    DT_INT32,
    DT_INT64,
    DT_STRING,
    DT_UINT8,
    DT_UINT32,
    DT_UINT64,
    dtype_name,
)
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

# The allowed range of a JSON number by type; the small types accept any int32, and wrap.
_INT_RANGES: dict[int, tuple[int, int]] = {
    DT_INT32: (-(2**31), 2**31 - 1),
    DT_INT16: (-(2**31), 2**31 - 1),
    DT_INT8: (-(2**31), 2**31 - 1),
    DT_UINT8: (-(2**31), 2**31 - 1),
    DT_INT64: (-(2**63), 2**63 - 1),
    DT_UINT32: (0, 2**32 - 1),
    DT_UINT64: (0, 2**64 - 1),
}
_SUPPORTED = frozenset({DT_FLOAT, DT_DOUBLE, DT_STRING, DT_BOOL, *_INT_RANGES})
_MAX_RANK = 64  # of NumPy's arrays, with the batch dimension
_BASE64_SPACES = re.compile(r"[ \t\n\v\f\r]+")


def read_tensor(value: Any, dtype: int) -> np.ndarray:
    """Reads a JSON value; its shape is the shape of the lists' first elements.

    Args:
        value: The parsed JSON value.
        dtype: The data type's number.

    Raises:
        StatusError: with TensorFlow Serving's text for the first value that does not fit.
    """
    shape = shape_of(value)
    flat = _flatten(value, shape)
    array = None if flat is None else _convert(flat, dtype)
    if array is not None:
        return array.reshape(shape)
    leaves: list[Any] = []
    _check(value, 0, shape, dtype, leaves)
    return read_value(leaves, shape, dtype)


def read_rows(rows: list[Any], dtype: int) -> np.ndarray | None:
    """Reads rows of equal shape into one array; None if any value does not fit."""
    shape = shape_of(rows)
    flat = _flatten(rows, shape)
    array = None if flat is None else _convert(flat, dtype)
    return None if array is None else array.reshape(shape)


def read_value(leaves: list[Any], shape: tuple[int, ...], dtype: int) -> np.ndarray:
    """Makes an array of values that were checked one by one."""
    return _to_numpy(leaves, dtype).reshape(shape)


def shape_of(value: Any) -> tuple[int, ...]:
    """Returns the shape of a JSON value's first elements.

    Raises:
        StatusError: if there are more dimensions than NumPy's arrays can have.
    """
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_RANK:
        raise invalid_argument(f"A tensor must have at most {_MAX_RANK} dimensions. Received: {len(shape)}.")
    return tuple(shape)


def _flatten(value: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """Flattens nested lists; returns None if they do not have the shape."""
    level = [value]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            return None
        level = list(chain.from_iterable(level))
    return level


def _convert(leaves: list[Any], dtype: int) -> np.ndarray | None:
    """Makes an array of leaves if all of them fit; else returns None."""
    if dtype not in _SUPPORTED:
        return None
    types = set(map(type, leaves))
    if dtype == DT_STRING:
        if not types <= {str, dict}:
            return None
        if dict in types:
            return None  # checked one by one, so that a broken base64 value is reported in order
    elif dtype == DT_BOOL:
        if not types <= {bool}:
            return None
    elif dtype in _INT_RANGES:
        low, high = _INT_RANGES[dtype]
        if not types <= {int} or (leaves and not low <= min(leaves) <= max(leaves) <= high):
            return None
    elif not types <= {int, float}:
        return None
    return _to_numpy(leaves, dtype)


def _to_numpy(leaves: list[Any], dtype: int) -> np.ndarray:
    if dtype == DT_STRING:
        array = np.empty(len(leaves), object)
        array[:] = [leaf if isinstance(leaf, bytes) else leaf.encode("utf-8", "surrogateescape") for leaf in leaves]
        return array
    target = BY_NUMBER[dtype].numpy
    if dtype in (DT_FLOAT, DT_DOUBLE):
        with np.errstate(over="ignore", under="ignore"):
            return np.array(leaves, np.float64).astype(target)  # numbers out of range become infinity
    if dtype in (DT_INT8, DT_INT16, DT_UINT8):
        return np.array(leaves, np.int32).astype(target)  # not range-checked: 300 in a uint8 is 44
    return np.array(leaves, target)


def _check(value: Any, level: int, shape: tuple[int, ...], dtype: int, leaves: list[Any]) -> None:
    """Checks a value in TensorFlow Serving's order and collects leaves, up to the first that does not fit."""
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {dump(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        leaves.append(_check_leaf(value, dtype))
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for element in value:
        _check(element, level + 1, shape, dtype, leaves)


def _check_leaf(value: Any, dtype: int) -> Any:
    if isinstance(value, dict):
        if dtype == DT_STRING:
            return decode_base64(value)
        raise _type_error(value, dtype)
    if dtype not in _SUPPORTED:
        raise StatusError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {dump(value)} to type: {dtype_name(dtype)}")
    if not _FITS.get(dtype, _is_int)(value, dtype):
        raise _type_error(value, dtype)
    return value


def _is_int(value: Any, dtype: int) -> bool:
    low, high = _INT_RANGES[dtype]
    return type(value) is int and low <= value <= high


_FITS: dict[int, Callable[[Any, int], bool]] = {
    DT_FLOAT: lambda value, _: type(value) in (int, float),
    DT_DOUBLE: lambda value, _: type(value) in (int, float),
    DT_STRING: lambda value, _: isinstance(value, str),
    DT_BOOL: lambda value, _: isinstance(value, bool),
}


def _type_error(value: Any, dtype: int) -> StatusError:
    return invalid_argument(
        f"JSON Value: {dump(value)} Type: {type_name(value)} is not of expected type: {dtype_name(dtype)}"
    )


def decode_base64(value: dict[str, Any]) -> bytes:
    """Reads `{"b64": "…"}`.

    Raises:
        StatusError: with TensorFlow Serving's text, if it is anything else.
    """
    encoded = value.get("b64")
    if len(value) != 1 or not isinstance(encoded, str):
        raise invalid_argument(f"JSON Value: {dump(value)} not formatted correctly for base64 data")
    encoded = _BASE64_SPACES.sub("", encoded)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4 if "=" not in encoded else 0), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error
