"""TensorProtos beside TensorFlow's own Python code, and where C++ differs from it."""

import ml_dtypes
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.tensor_proto import to_array, to_proto

TYPES = [
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "float16",
    "complex64",
    "complex128",
    ml_dtypes.bfloat16,
]


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_go_there_and_back_as_in_tensorflow(dtype: object, as_content: bool) -> None:
    import tensorflow as tf

    array = np.array([[0, 1, 2], [3, 4, 100]]).astype(dtype)
    proto = tf.make_tensor_proto(0).__class__()
    to_proto(array, proto, as_content=as_content)
    assert bool(proto.tensor_content) is as_content
    assert np.array_equal(tf.make_ndarray(proto), array)
    back = to_array(proto)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert np.array_equal(to_array(tf.make_tensor_proto(array)), array)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (300,)])
def test_every_shape_goes_there_and_back(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    array = np.full(shape, 1.5, np.float32)
    proto = tf.make_tensor_proto(0).__class__()
    to_proto(array, proto)
    assert proto.HasField("tensor_shape")
    assert np.array_equal(tf.make_ndarray(proto), array)
    assert np.array_equal(to_array(proto), array)


def test_strings_go_there_and_back() -> None:
    import tensorflow as tf

    array = np.array([[b"", b"\xff"], ["你".encode(), b"a" * 200]], object)
    proto = tf.make_tensor_proto(0).__class__()
    to_proto(array, proto, as_content=True)
    assert list(proto.string_val) == array.ravel().tolist()
    assert to_array(proto).tolist() == array.tolist()
    proto.ClearField("string_val")
    proto.tensor_content = b"\x00\x01\x03\xc8\x01" + b"\xff" + "你".encode() + b"a" * 200
    assert to_array(proto).tolist() == array.tolist()
    proto.tensor_content = proto.tensor_content[:-1]
    with pytest.raises(InputError, match="must hold 204 bytes of text"):
        to_array(proto)


def test_short_lists_are_filled_with_the_last_value_and_long_ones_cut() -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto(0.0, shape=[3])
    proto.ClearField("float_val")
    assert to_array(proto).tolist() == [0.0, 0.0, 0.0]
    proto.float_val.extend([1.0, 2.0])
    assert to_array(proto).tolist() == [1.0, 2.0, 2.0]
    proto.float_val.extend([3.0, 4.0])
    assert to_array(proto).tolist() == [1.0, 2.0, 3.0]


def test_what_is_no_tensor_is_refused() -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto([1.0])
    proto.tensor_shape.dim[0].size = -1
    with pytest.raises(InputError, match="complete shape"):
        to_array(proto)
    proto.tensor_shape.dim[0].size = 2**62
    with pytest.raises(InputError, match="complete shape"):
        to_array(proto)
    with pytest.raises(InputError, match="data type"):
        to_array(tf.make_tensor_proto(0).__class__())


def test_a_half_takes_the_low_sixteen_bits_as_in_c() -> None:
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(dtype=19, half_val=[0x3C00, 0x10000 + 0x3C00, -0x10000 + 0x3C00])
    proto.tensor_shape.dim.add(size=3)
    assert to_array(proto).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [1, 7, 9, 10, 18])
def test_a_few_bytes_do_not_become_gigabytes(dtype: int) -> None:
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.dim.add(size=2**31 - 1)
    with pytest.raises(InputError, match="must hold its values"):
        to_array(proto)
