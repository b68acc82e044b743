"""The types of stored tensors, as safetensors names them."""

import numpy as np

TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip


def widen(array: np.ndarray, dtype: str) -> np.ndarray:
    """Returns an array as it is, or in float32 if it holds the halves of bfloat16 numbers.

    Args:
        array: Numbers of the type that `TYPES` names.
        dtype: A key of `TYPES`.
    """
    if dtype != "BF16":
        return array
    bits = array.astype("uint32")
    bits <<= 16  # in place: the largest tensor of a model can be a quarter of it
    widened: np.ndarray = bits.view("float32")
    return widened
