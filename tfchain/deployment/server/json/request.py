"""Reads a REST predict request: the row format (`instances`) and the column format (`inputs`)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.deployment.server.admission import DEFAULT_ROWS, check_rows
from tfchain.deployment.server.json.depth import DEFAULT_DEPTH
from tfchain.deployment.server.json.parser import parse_json
from tfchain.deployment.server.json.tensor import read_rows, read_tensor, read_value
from tfchain.deployment.server.json.text import dump
from tfchain.deployment.server.servables.servable import TensorSpec
from tfchain.deployment.server.status import StatusError, invalid_argument


@dataclass(frozen=True, slots=True)
class JsonPredictRequest:
    """The content of a request's body.

    Args:
        signature_name: The signature's name; empty if the request has none.
        inputs: The arrays by input name.
        is_row_format: Whether the request is in row format (`instances`), which the answer must follow.
    """

    signature_name: str
    inputs: Mapping[str, np.ndarray]
    is_row_format: bool


def read_predict_request(
    body: bytes,
    find_inputs: Callable[[str], Mapping[str, TensorSpec]],
    *,
    max_rows: int = DEFAULT_ROWS,
    max_depth: int = DEFAULT_DEPTH,
) -> JsonPredictRequest:
    """Reads the body of a predict request.

    Args:
        body: The request's body.
        find_inputs: A function from a signature's name (empty if none was sent) to its inputs. Called after the JSON
            and the name are found well formed; may raise a StatusError.
        max_rows: The most rows in row format. Default: 65,536.
        max_depth: The most levels of lists and objects. Default: 128.

    Raises:
        StatusError: with TensorFlow Serving's text, if the body is not a predict request for the signature.
    """
    document, signature_name = parse_request(body, max_depth)
    specs = find_inputs(signature_name)
    if not specs:
        raise invalid_argument(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
    if "instances" in document:
        if "inputs" in document:
            raise invalid_argument(
                f"JSON Value: {dump(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
                "keys to exist "
            )
        rows = document["instances"]
        if not isinstance(rows, list):
            raise invalid_argument(f"JSON Value: {dump(document)} Expecting 'instances' to be an list/array")
        if not rows:
            raise invalid_argument(f"JSON Value: {dump(document)} No values in 'instances' array")
        check_rows(len(rows), max_rows)
        return JsonPredictRequest(signature_name, _read_instances(rows, specs), True)
    if "inputs" in document:
        return JsonPredictRequest(signature_name, _read_inputs(document["inputs"], specs), False)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def parse_request(body: bytes, max_depth: int = DEFAULT_DEPTH) -> tuple[dict[str, Any], str]:
    """Reads what the bodies of all requests share.

    Args:
        body: The request's body.
        max_depth: The most levels of lists and objects. Default: 128.

    Returns:
        The document, and the signature's name, which is empty if the request has none.

    Raises:
        StatusError: with TensorFlow Serving's text, if the body is no JSON object, or the name no text.
    """
    document = parse_json(body, max_depth)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {dump(document)} Is not object")
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid_argument(
            f"JSON Value: {dump(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document, signature_name


def _read_instances(rows: list[Any], specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    arrays = _read_rows_fast(rows, specs)
    return arrays if arrays is not None else _read_rows_slowly(rows, specs)


def _read_rows_fast(rows: list[Any], specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray] | None:
    """Reads valid rows, all at once; returns None if a row is invalid, so that the slow function can report it."""
    if not is_object(rows[0]):
        if any(is_object(row) for row in rows):
            return None
        name, spec = next(iter(specs.items()))
        array = read_rows(rows, spec.dtype)
        return None if array is None else {name: array}
    names = specs.keys()
    if not all(is_object(row) and row.keys() == names for row in rows):
        return None
    arrays: dict[str, np.ndarray] = {}
    for name, spec in specs.items():
        array = read_rows([row[name] for row in rows], spec.dtype)
        if array is None:
            return None
        arrays[name] = array
    return arrays


def _read_rows_slowly(rows: list[Any], specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Reads rows in TensorFlow Serving's order of checks, up to the first error."""
    has_objects = is_object(rows[0])
    shapes: dict[str, tuple[int, ...]] = {}
    values: dict[str, list[Any]] = {}
    for position, row in enumerate(rows):
        if has_objects:
            if not is_object(row):
                raise invalid_argument(f"Expecting object but got list at item {position} of input list")
            for name, value in row.items():
                try:
                    _add_value(value, name, specs, shapes, values)
                except StatusError as error:
                    raise invalid_argument(
                        f"Failed to process element: {position} key: {name} of 'instances' list. Error: {error}"
                    ) from error
            if row.keys() != specs.keys():
                raise invalid_argument(
                    f"Failed to process element: {position} of 'instances' list. JSON object: {dump(row)} "
                    f"keys must be equal to: {','.join(sorted(specs))}"
                )
        else:
            if is_object(row):
                raise invalid_argument(f"Expecting value/list but got object at item {position} of input list")
            try:
                _add_value(row, next(iter(specs)), specs, shapes, values)
            except StatusError as error:
                raise invalid_argument(
                    f"Failed to process element: {position} of 'instances' list. Error: {error}"
                ) from error
    return {name: read_value(values[name], (len(rows), *shapes[name]), specs[name].dtype) for name in specs}


def _add_value(
    value: Any,
    name: str,
    specs: Mapping[str, TensorSpec],
    shapes: dict[str, tuple[int, ...]],
    values: dict[str, list[Any]],
) -> None:
    if name not in specs:
        raise invalid_argument(f"JSON object: does not have named input: {name}")
    array = read_tensor(value, specs[name].dtype)
    expected = shapes.setdefault(name, array.shape)
    if math.prod(expected) != array.size:
        raise invalid_argument(f"Expecting tensor size: {math.prod(expected)} but got: {array.size}")
    if expected != array.shape:
        raise invalid_argument(f"Expecting shape {_shape_text(expected)} but got: {_shape_text(array.shape)}")
    values.setdefault(name, []).extend(array.ravel().tolist())


def _read_inputs(value: Any, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not is_object(value):
        if len(specs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        name, spec = next(iter(specs.items()))
        return {name: read_tensor(value, spec.dtype)}
    arrays: dict[str, np.ndarray] = {}
    for name, spec in specs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = read_tensor(value[name], spec.dtype)
    return arrays


def is_object(value: Any) -> bool:
    """Returns whether a JSON value is an object of named inputs; `{"b64": "…"}` is a value, not an object."""
    return isinstance(value, dict) and not (len(value) == 1 and isinstance(value.get("b64"), str))


def _shape_text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
