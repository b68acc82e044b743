"""Layouts that the model of the conformance tests does not have."""

import json

import numpy as np
import pytest

from tfchain.deployment.server.json.response import write_predict_response
from tfchain.deployment.server.servables.dtypes import BY_NUMBER
from tfchain.deployment.server.status import StatusError


def rows(**outputs: np.ndarray) -> str:
    return write_predict_response(outputs, is_row_format=True).decode()


def columns(**outputs: np.ndarray) -> str:
    return write_predict_response(outputs, is_row_format=False).decode()


def test_an_empty_batch_is_an_empty_list() -> None:
    assert rows(y=np.zeros((0, 3), np.float32)) == '{\n    "predictions": []\n}'
    assert rows(y=np.zeros(0, np.int32), z=np.zeros(0, np.int32)) == '{\n    "predictions": []\n}'


def test_deep_arrays_keep_their_shape_in_both_formats() -> None:
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    assert json.loads(rows(y=array))["predictions"] == array.tolist()
    assert json.loads(columns(y=array))["outputs"] == array.tolist()
    empty = np.zeros((2, 0, 3), np.int32)
    assert json.loads(rows(y=empty))["predictions"] == [[], []]
    assert json.loads(columns(y=empty))["outputs"] == [[], []]


def test_columns_of_a_matrix_are_indented_by_depth() -> None:
    assert columns(y=np.array([[1], [2]], np.int32)) == (
        '{\n    "outputs": [\n        [\n            1\n        ],\n        [\n            2\n        ]\n    ]\n}'
    )


def test_base64_objects_are_indented_by_depth() -> None:
    array = np.array([[b"a"]], object)
    assert rows(a_bytes=array) == ('{\n    "predictions": [[{\n                "b64": "YQ=="\n            }]\n    ]\n}')
    assert columns(a_bytes=array) == (
        '{\n    "outputs": [\n        [\n            {\n                "b64": "YQ=="\n'
        "            }\n        ]\n    ]\n}"
    )


def test_vectors_within_rows_of_objects_stay_in_one_line() -> None:
    assert rows(a=np.array([[1, 2]], np.int32), b=np.array([3], np.int32)) == (
        '{\n    "predictions": [\n        {\n            "a": [1, 2],\n            "b": 3\n        }\n    ]\n}'
    )


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "half"), (np.complex64, "complex64"), (np.uint16, "uint16")])
def test_types_without_json_are_refused(dtype: type, name: str) -> None:
    with pytest.raises(StatusError, match=f"Failed to write JSON value for tensor type: {name}"):
        columns(y=np.zeros(1, dtype))


@pytest.mark.parametrize(
    "name",
    [
        *("half", "bfloat16", "uint16", "complex64", "complex128", "qint8", "quint8", "qint16", "quint16", "qint32"),
        *("float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"),
        *("int4", "uint4", "int2", "uint2", "float4_e2m1fn"),
    ],
)
def test_a_data_type_that_json_does_not_have_is_named(name: str) -> None:
    (dtype,) = [dtype for dtype in BY_NUMBER.values() if dtype.name == name]
    for is_row_format in (False, True):
        with pytest.raises(
            StatusError, match=f"^INVALID_ARGUMENT: Failed to write JSON value for tensor type: {name}$"
        ):
            write_predict_response({"y": np.zeros(2, dtype.numpy)}, is_row_format=is_row_format)
        assert b"[]" in write_predict_response({"y": np.zeros(0, dtype.numpy)}, is_row_format=is_row_format)
