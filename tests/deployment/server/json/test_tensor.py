"""JSON values to arrays."""

import numpy as np
import pytest

from tfchain.deployment.server.json.tensor import read_rows, read_tensor
from tfchain.deployment.server.servables.dtypes import (
    DT_BOOL,
    DT_FLOAT,
    DT_INT32,
    DT_INT64,
    DT_STRING,
    DT_UINT8,
    DT_UINT32,
    DT_UINT64,
)
from tfchain.deployment.server.status import StatusError


def test_nested_lists_become_an_array_of_their_shape() -> None:
    array = read_tensor([[[1], [2]], [[3], [4.5]]], DT_FLOAT)
    assert array.dtype == np.float32
    assert array.tolist() == [[[1.0], [2.0]], [[3.0], [4.5]]]


def test_scalars_and_empty_lists_have_shapes() -> None:
    assert read_tensor(3, DT_INT64).shape == ()
    assert read_tensor([], DT_FLOAT).shape == (0,)
    assert read_tensor([[], []], DT_STRING).shape == (2, 0)


def test_large_integers_are_exact() -> None:
    assert read_tensor([2**64 - 1], DT_UINT64).tolist() == [2**64 - 1]
    assert read_tensor([-(2**63)], DT_INT64).tolist() == [-(2**63)]
    with pytest.raises(StatusError, match=r"JSON Value: 18446744073709551615 Type: Number .* type: int64"):
        read_tensor([2**64 - 1], DT_INT64)


@pytest.mark.parametrize(("dtype", "name", "low", "high"), [
    (DT_INT32, "int32", -(2**31), 2**31 - 1),
    (DT_INT64, "int64", -(2**63), 2**63 - 1),
    (DT_UINT32, "uint32", 0, 2**32 - 1),
])  # fmt: skip
def test_numbers_beyond_either_end_of_a_type_are_refused_as_serving_does(
    dtype: int, name: str, low: int, high: int
) -> None:
    assert read_tensor([low, high], dtype).tolist() == [low, high]
    for value in (low - 1, high + 1):
        with pytest.raises(StatusError, match=rf"JSON Value: {value} Type: Number .* type: {name}"):
            read_tensor([low, value, high], dtype)
        assert read_rows([[low], [value]], dtype) is None


def test_small_integers_wrap() -> None:
    assert read_tensor([300, -1], DT_UINT8).tolist() == [44, 255]


def test_strings_and_base64_mix() -> None:
    assert read_tensor(["é", {"b64": "AAE="}, {"b64": "AAE"}], DT_STRING).tolist() == ["é".encode(), b"\0\1", b"\0\1"]


def test_numbers_are_no_booleans_and_booleans_no_numbers() -> None:
    with pytest.raises(StatusError, match="JSON Value: 1 Type: Number is not of expected type: bool"):
        read_tensor([True, 1], DT_BOOL)
    with pytest.raises(StatusError, match="JSON Value: true Type: True is not of expected type: int64"):
        read_tensor([True], DT_INT64)


def test_the_first_fault_in_order_is_named() -> None:
    with pytest.raises(StatusError, match='JSON Value: "a" Type'):
        read_tensor([[1, "a"], [2]], DT_FLOAT)
    with pytest.raises(StatusError, match="unexpected size: 1 at level: 1 expected size: 2"):
        read_tensor([[1, 2], [2], ["a", 3]], DT_FLOAT)
