"""Converts NumPy arrays to TensorProtos and back like TensorFlow's C++ code, without the cost of its Python code."""

from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.dtypes import BY_NUMBER, BY_NUMPY, DT_STRING, DType

# A short list is filled with its last value up to the claimed shape, but not to more bytes than this: a message of a
# few bytes could otherwise take all memory.
_MAX_FILLED_BYTES = 2**28
_MAX_MESSAGE_BYTES = 2**31 - 2**16  # of values, so that names and shapes fit beside them
_MAX_INT64 = 2**63 - 1
# The tag of field 5 of TensorProto, `repeated float float_val`, in packed form.
_FLOAT_VAL_TAG = b"\x2a"


def to_array(proto: Any) -> np.ndarray:
    """Reads a TensorProto.

    As in TensorFlow, a list that is too short is filled with its last value, an empty list with zeros, and a list that
    is too long is truncated. What fills more than 256 MiB is refused, which TensorFlow does not.

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
    count = _count_elements(shape)
    if proto.tensor_content and count:
        return _content_to_array(proto.tensor_content, dtype, count).reshape(shape)
    return _filled(_read_values(proto, dtype), count).reshape(shape)


def to_proto(array: np.ndarray, proto: Any, *, as_content: bool = False) -> None:
    """Writes an array into an empty TensorProto.

    Args:
        array: The values; strings as bytes in an object array.
        proto: The `tensorflow.TensorProto` to fill.
        as_content: Whether to write `tensor_content` (raw bytes), except for strings, which use the typed field.

    Raises:
        InputError: if TensorFlow does not have the data type, or a message cannot contain the values.
    """
    dtype = BY_NUMPY.get(array.dtype)
    if dtype is None:
        raise InputError(f"An array must have a data type of TensorFlow. Received: {array.dtype}.")
    if array.nbytes > _MAX_MESSAGE_BYTES:
        raise InputError(f"An output must fit into a message of 2 GiB. Received: {array.nbytes} bytes.")
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
    elif dtype.field == "float8_val":
        proto.float8_val = array.tobytes()
    elif dtype.field == "int_val":
        proto.int_val.extend(array.view(dtype.plain).astype(np.int32).ravel().tolist())
    elif dtype.field in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        getattr(proto, dtype.field).extend(np.ascontiguousarray(array).view(part).ravel().tolist())
    else:
        getattr(proto, dtype.field).extend(array.ravel().tolist())


def _count_elements(shape: tuple[int, ...]) -> int:
    """Returns the number of elements; refuses what TensorFlow refuses, such as an overflow before a dimension of 0."""
    count = 1
    for size in shape:
        count *= size
        if size < 0 or count > _MAX_INT64:
            raise InputError(f"A TensorProto must have a complete shape. Received: {list(shape)}.")
    return count


def _read_values(proto: Any, dtype: DType) -> np.ndarray:
    """Reads the typed field of a TensorProto, however many values it has."""
    values = getattr(proto, dtype.field)
    if dtype.number == DT_STRING:
        return np.fromiter(values, dtype=object, count=len(values))
    if dtype.field == "half_val":
        return np.array(values, np.int32).astype(np.uint16).view(dtype.numpy)
    if dtype.field == "float8_val":
        return np.frombuffer(values, np.uint8).view(dtype.numpy)
    if dtype.field in ("scomplex_val", "dcomplex_val"):
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        return np.array(values[: len(values) // 2 * 2], part).view(dtype.numpy)
    if dtype.field == "int_val":
        return np.array(values, np.int32).astype(dtype.plain).view(dtype.numpy)  # 300 in a uint8 wraps, as in C++
    return np.array(values, dtype.numpy)


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


def _filled(values: np.ndarray, count: int) -> np.ndarray:
    if len(values) >= count:
        return values[:count]
    if count * values.dtype.itemsize > _MAX_FILLED_BYTES:
        raise InputError(
            f"A TensorProto with {len(values)} values must not claim more than {_MAX_FILLED_BYTES} bytes. "
            f"Received: {count} elements of {values.dtype.itemsize} bytes."
        )
    filled = np.zeros(count, values.dtype)
    if values.dtype == object:
        filled.fill(b"")
    filled[: len(values)] = values
    if len(values):
        filled[len(values) :] = values[-1]
    return filled


def _varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)
