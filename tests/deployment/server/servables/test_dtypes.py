"""Data types: their names are those of TensorFlow's C++ code."""

import pytest

from tfchain.deployment.server.servables.dtypes import BY_NUMBER, BY_NUMPY, HANDLES, dtype_name


def test_every_type_of_tensorflow_is_known() -> None:
    from tensorflow.core.framework import types_pb2

    numbers = {number for name, number in types_pb2.DataType.items() if number and not name.endswith("_REF")}
    assert numbers <= BY_NUMBER.keys() | HANDLES.keys()
    assert not BY_NUMBER.keys() & HANDLES.keys()
    for name, number in types_pb2.DataType.items():
        if number in numbers:
            assert dtype_name(number) == name.removeprefix("DT_").lower()
            assert dtype_name(number + 100) == dtype_name(number) + "_ref"


def test_numpys_types_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    assert len(BY_NUMPY) == len(BY_NUMBER)
    for number, dtype in BY_NUMBER.items():
        if number <= 33:
            assert dtype.numpy == tf.as_dtype(number).as_numpy_dtype


@pytest.mark.parametrize("number", [99, 34])
def test_another_number_is_named(number: int) -> None:
    assert dtype_name(number) == f"unknown dtype enum ({number})"
