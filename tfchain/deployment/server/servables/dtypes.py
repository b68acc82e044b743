"""TensorFlow's data types by wire number: names, NumPy types, fields of a TensorProto."""

from dataclasses import dataclass
from typing import Any

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
DT_RESOURCE = 20
DT_VARIANT = 21
DT_UINT32 = 22
DT_UINT64 = 23

_REF = 100  # the number of a reference to a variable is its type's number plus this


@dataclass(frozen=True, slots=True)
class DType:
    """A data type.

    Args:
        number: The value in `tensorflow.DataType`.
        name: The name in TensorFlow's error texts.
        numpy: The NumPy type of arrays: `object` for strings, with bytes as elements; a type with one named field for
            what NumPy does not have, the quantized integers.
        field: The field of a TensorProto with the values.
    """

    number: int
    name: str
    numpy: np.dtype
    field: str

    @property
    def plain(self) -> np.dtype:
        """The NumPy type of the values, without a named field around it."""
        return self.numpy[0] if self.numpy.names else self.numpy


_ROWS: tuple[tuple[int, str, Any, str], ...] = (
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
    (11, "qint8", [("qint8", np.int8)], "int_val"),
    (12, "quint8", [("quint8", np.uint8)], "int_val"),
    (13, "qint32", [("qint32", np.int32)], "int_val"),
    (DT_BFLOAT16, "bfloat16", ml_dtypes.bfloat16, "half_val"),
    (15, "qint16", [("qint16", np.int16)], "int_val"),
    (16, "quint16", [("quint16", np.uint16)], "int_val"),
    (DT_UINT16, "uint16", np.uint16, "int_val"),
    (DT_COMPLEX128, "complex128", np.complex128, "dcomplex_val"),
    (DT_HALF, "half", np.float16, "half_val"),
    (DT_UINT32, "uint32", np.uint32, "uint32_val"),
    (DT_UINT64, "uint64", np.uint64, "uint64_val"),
    (24, "float8_e5m2", ml_dtypes.float8_e5m2, "float8_val"),
    (25, "float8_e4m3fn", ml_dtypes.float8_e4m3fn, "float8_val"),
    (26, "float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "float8_val"),
    (27, "float8_e4m3b11fnuz", ml_dtypes.float8_e4m3b11fnuz, "float8_val"),
    (28, "float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "float8_val"),
    (29, "int4", ml_dtypes.int4, "int_val"),
    (30, "uint4", ml_dtypes.uint4, "int_val"),
    (31, "int2", ml_dtypes.int2, "int_val"),
    (32, "uint2", ml_dtypes.uint2, "int_val"),
    (33, "float4_e2m1fn", ml_dtypes.float4_e2m1fn, "float8_val"),
)
BY_NUMBER: dict[int, DType] = {row[0]: DType(row[0], row[1], np.dtype(row[2]), row[3]) for row in _ROWS}
HANDLES: dict[int, str] = {DT_RESOURCE: "resource", DT_VARIANT: "variant"}  # what NumPy's arrays cannot contain
BY_NUMPY: dict[np.dtype, DType] = {dtype.numpy: dtype for dtype in BY_NUMBER.values()}


def dtype_name(number: int) -> str:
    """Returns a data type's name in TensorFlow's error texts."""
    if number > _REF:
        return f"{dtype_name(number - _REF)}_ref"
    if number in HANDLES:
        return HANDLES[number]
    dtype = BY_NUMBER.get(number)
    return dtype.name if dtype is not None else f"unknown dtype enum ({number})"
