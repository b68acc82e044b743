"""TensorFlow's data types by wire number: names, NumPy types, fields of a TensorProto."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

DT_FLOAT = 1
DT_DOUBLE = 2
DT_INT32 = 3
DT_UINT8 = 4
DT_INT16 = 5
DT_INT8 = 6
DT_STRING = 7
DT_COMPLEX64 = 8
DT_INT64 = 9
DT_BOOL = 10
DT_BFLOAT16 = 14
DT_UINT16 = 17
DT_COMPLEX128 = 18
DT_HALF = 19
DT_UINT32 = 22
DT_UINT64 = 23


@dataclass(frozen=True, slots=True)
class DType:
    """A data type.

    Args:
        number: The value in `tensorflow.DataType`.
        name: The name in TensorFlow's error texts.
        numpy: The NumPy type of arrays (for strings `object`, with bytes as elements).
        field: The repeated field of a TensorProto with the values.
    """

    number: int
    name: str
    numpy: np.dtype
    field: str


_ROWS: tuple[tuple[int, str, type | str, str], ...] = (
    (DT_FLOAT, "float", np.float32, "float_val"),
    (DT_DOUBLE, "double", np.float64, "double_val"),
    (DT_INT32, "int32", np.int32, "int_val"),
    (DT_UINT8, "uint8", np.uint8, "int_val"),
    (DT_INT16, "int16", np.int16, "int_val"),
    (DT_INT8, "int8", np.int8, "int_val"),
    (DT_STRING, "string", np.object_, "string_val"),
    (DT_COMPLEX64, "complex64", np.complex64, "scomplex_val"),
    (DT_INT64, "int64", np.int64, "int64_val"),
    (DT_BOOL, "bool", np.bool_, "bool_val"),
    (DT_BFLOAT16, "bfloat16", ml_dtypes.bfloat16, "half_val"),
    (DT_UINT16, "uint16", np.uint16, "int_val"),
    (DT_COMPLEX128, "complex128", np.complex128, "dcomplex_val"),
    (DT_HALF, "half", np.float16, "half_val"),
    (DT_UINT32, "uint32", np.uint32, "uint32_val"),
    (DT_UINT64, "uint64", np.uint64, "uint64_val"),
)
BY_NUMBER: dict[int, DType] = {row[0]: DType(row[0], row[1], np.dtype(row[2]), row[3]) for row in _ROWS}
BY_NUMPY: dict[np.dtype, DType] = {dtype.numpy: dtype for dtype in BY_NUMBER.values()}


def dtype_name(number: int) -> str:
    """Returns a data type's name in TensorFlow's error texts."""
    dtype = BY_NUMBER.get(number)
    return dtype.name if dtype is not None else f"unknown dtype enum ({number})"
