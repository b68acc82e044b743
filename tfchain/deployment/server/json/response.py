"""Writes a REST predict response, character for character as TensorFlow Serving does."""

import base64
import math
from collections.abc import Mapping

import numpy as np

from tfchain.deployment.server.json.text import INDENT, format_floats, quote, quote_utf8
from tfchain.deployment.server.servables.dtypes import BY_NUMPY, DT_UINT16
from tfchain.deployment.server.status import invalid_argument

BYTES_SUFFIX = "_bytes"


def write_predict_response(outputs: Mapping[str, np.ndarray], *, is_row_format: bool) -> bytes:
    """Writes the outputs of a run.

    Args:
        outputs: The arrays by output name.
        is_row_format: Whether to write rows (`predictions`) or columns (`outputs`).

    Raises:
        StatusError: if an output has no batch dimension, or another size than the others, in row format; or if a data
            type cannot be written.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    text = _write_rows(outputs) if is_row_format else _write_columns(outputs)
    return text.encode("utf-8", "surrogateescape")


def _write_rows(outputs: Mapping[str, np.ndarray]) -> str:
    size = _batch_size(outputs)
    line = "\n" + INDENT * 2
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        # The lists of rows are on one line; the writer switches to single lines after it opens the outer list, so the
        # outer closing bracket stands alone.
        rows = _nested(_texts(name, array, depth=2 + array.ndim - 1), array.shape[1:], size)
        body = ", ".join(rows)
    else:
        columns = []
        for name, array in outputs.items():
            values = _nested(_texts(name, array, depth=3 + array.ndim - 1), array.shape[1:], size)
            columns.append([f"{quote(name)}: {value}" for value in values])
        inner = line + INDENT
        objects = ["{" + inner + ("," + inner).join(members) + line + "}" for members in zip(*columns, strict=True)]
        body = line + ("," + line).join(objects) if objects else ""
    end = "\n" + INDENT if size else ""
    return f'{{\n{INDENT}"predictions": [{body}{end}]\n}}'


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    size: int | None = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if size is not None and size != array.shape[0]:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {size}"
            )
        size = array.shape[0]
    return size or 0


def _write_columns(outputs: Mapping[str, np.ndarray]) -> str:
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return f'{{\n{INDENT}"outputs": {_indented(name, array, 1)}\n}}'
    line = "\n" + INDENT * 2
    members = [f"{quote(name)}: {_indented(name, array, 2)}" for name, array in outputs.items()]
    return f'{{\n{INDENT}"outputs": {{{line}{("," + line).join(members)}\n{INDENT}}}\n}}'


def _nested(texts: list[str], shape: tuple[int, ...], count: int) -> list[str]:
    """Joins values into `count` lists of a shape, each on one line."""
    for position in range(len(shape) - 1, -1, -1):
        size = shape[position]
        number = count * math.prod(shape[:position])
        texts = ["[" + ", ".join(texts[start * size : (start + 1) * size]) + "]" for start in range(number)]
    return texts


def _indented(name: str, array: np.ndarray, depth: int) -> str:
    """Writes an array with each value on its own line."""
    texts = _texts(name, array, depth=depth + array.ndim)
    for position in range(array.ndim - 1, -1, -1):
        size = array.shape[position]
        number = math.prod(array.shape[:position])
        outer = "\n" + INDENT * (depth + position)
        inner = outer + INDENT
        if size == 0:
            texts = ["[]"] * number
            continue
        texts = [
            "[" + inner + ("," + inner).join(texts[start * size : (start + 1) * size]) + outer + "]"
            for start in range(number)
        ]
    return texts[0]


def _texts(name: str, array: np.ndarray, depth: int) -> list[str]:
    """Writes an array's values one by one; `depth` is the number of open brackets around them."""
    flat = array.ravel()
    match array.dtype.kind:
        case "f" if array.dtype in (np.float32, np.float64):
            return format_floats(flat)
        case "i":
            return list(map(str, flat.tolist()))
        case "u" if BY_NUMPY[array.dtype].number != DT_UINT16:
            return list(map(str, flat.tolist()))
        case "b":
            return ["true" if value else "false" for value in flat.tolist()]
        case "O" if name.endswith(BYTES_SUFFIX):
            start, end = "{\n" + INDENT * (depth + 1) + '"b64": "', '"\n' + INDENT * depth + "}"
            return [start + base64.b64encode(value).decode() + end for value in flat.tolist()]
        case "O":
            return list(map(quote_utf8, flat.tolist()))
    if not flat.size:
        return []
    dtype = BY_NUMPY.get(array.dtype)
    raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype.name if dtype else array.dtype}")
