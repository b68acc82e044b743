"""Converts NumPy arrays to TensorProtos and back like TensorFlow's C++ code, without the cost of its Python code."""

import math
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.dtypes import BY_NUMBER, BY_NUMPY, DT_STRING, DType

_MAX_ELEMENTS = 2**31  # the most that a 2 GiB message can contain; a larger shape would only exhaust memory
_MAX_FILLED_BYTES = 2**30  # of an array that is larger than its message, so that a small one cannot exhaust memory
# The tag of field 5 of TensorProto, `repeated float float_val`, in packed form.
_FLOAT_VAL_TAG = b"\x2a"


def to_array(proto: Any) -> np.ndarray:
    """Reads a TensorProto.

    As in TensorFlow, a list that is too short is filled with its last value, an empty list with zeros, and a list that
    is too long is truncated. Unlike there, an array of more than 1 GiB is not filled up.

    Args:
        proto: A `tensorflow.TensorProto`.

    Returns:
        The array; strings as bytes in an object array.

    Raises:
        InputError: if the proto is not a tensor.
    """
    dtype = BY_NUMBER.get(proto.dtype)
    if dtype is None:
        raise InputError(f"A TensorProto must have a data type that can be sent. Received: dtype={proto.dtype}.")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    count = math.prod(shape)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape) or count > _MAX_ELEMENTS:
        raise InputError(f"A TensorProto must have a complete shape. Received: {list(shape)}.")
    if proto.tensor_content:
        return _content_to_array(proto.tensor_content, dtype, count).reshape(shape)
    values = getattr(proto, dtype.field)
    if dtype.number == DT_STRING:
        flat = _filled(np.fromiter(values, dtype=object, count=len(values)), count, b"")
    elif dtype.field == "half_val":
        flat = _filled(np.array(values, np.int32).astype(np.uint16).view(dtype.numpy), count, 0)
    elif dtype.field in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        flat = _filled(np.array(values[: len(values) // 2 * 2], part).view(dtype.numpy), count, 0)
    elif dtype.field == "int_val":
        flat = _filled(np.array(values, np.int32).astype(dtype.numpy), count, 0)  # 300 in a uint8 wraps, as in C++
    else:
        flat = _filled(np.array(values, dtype.numpy), count, 0)
    return flat.reshape(shape)


def to_proto(array: np.ndarray, proto: Any, *, as_content: bool = False) -> None:
    """Writes an array into an empty TensorProto.

    Args:
        array: The values; strings as bytes in an object array.
        proto: The `tensorflow.TensorProto` to fill.
        as_content: Whether to write `tensor_content` (raw bytes), except for strings, which use the typed field.

    Raises:
        InputError: if TensorFlow does not have the data type.
    """
    dtype = BY_NUMPY.get(array.dtype)
    if dtype is None:
        raise InputError(f"An array must have a data type of TensorFlow. Received: {array.dtype}.")
    proto.dtype = dtype.number
    shape = proto.tensor_shape  # reading does not set it, and a scalar has an empty shape
    shape.SetInParent()
    for size in array.shape:
        shape.dim.add().size = size
    if dtype.number == DT_STRING:
        proto.string_val.extend(array.ravel().tolist())
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif dtype.field == "float_val":
        if array.size:  # the packed field in wire format: many times faster than a Python float for each value
            data = array.astype("<f4", copy=False).tobytes()
            proto.MergeFromString(_FLOAT_VAL_TAG + _varint(len(data)) + data)
    elif dtype.field == "half_val":
        proto.half_val.extend(array.view(np.uint16).ravel().tolist())
    elif dtype.field in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        getattr(proto, dtype.field).extend(np.ascontiguousarray(array).view(part).ravel().tolist())
    else:
        getattr(proto, dtype.field).extend(array.ravel().tolist())


def _content_to_array(content: bytes, dtype: DType, count: int) -> np.ndarray:
    if dtype.number == DT_STRING:
        return _split_strings(content, count)
    if len(content) != count * dtype.numpy.itemsize:
        raise InputError(
            f"`tensor_content` must hold {count} values of {dtype.numpy.itemsize} bytes. "
            f"Received: {len(content)} bytes."
        )
    return np.frombuffer(content, dtype.numpy)


def _split_strings(content: bytes, count: int) -> np.ndarray:
    """Reads TensorFlow's layout of strings: all lengths as varints, then all bytes."""
    lengths: list[int] = []
    position = 0
    while len(lengths) < count:
        length = shift = 0
        while True:
            if position >= len(content) or shift > 28:
                raise InputError("`tensor_content` ends within the strings' lengths.")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise InputError(
            f"`tensor_content` must hold {sum(lengths)} bytes of text. Received: {len(content) - position}."
        )
    strings = np.empty(count, object)
    for row, length in enumerate(lengths):
        strings[row] = content[position : position + length]
        position += length
    return strings


def _filled(values: np.ndarray, count: int, zero: Any) -> np.ndarray:
    if len(values) >= count:
        return values[:count]
    if count * values.itemsize > _MAX_FILLED_BYTES:
        raise InputError(
            f"A TensorProto must hold its values. Received: {len(values)} values, and a shape of {count}, which would "
            f"take more than {_MAX_FILLED_BYTES} bytes."
        )
    filled = np.full(count, values[-1] if len(values) else zero, values.dtype)
    filled[: len(values)] = values
    return filled


def _varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)
