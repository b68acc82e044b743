"""TensorProtos beside TensorFlow's own Python code, and where C++ differs from it."""

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.dtypes import BY_NUMBER
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
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.int4,
    ml_dtypes.uint4,
]


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_go_there_and_back_as_in_tensorflow(dtype: object, as_content: bool) -> None:
    import tensorflow as tf

    array = np.array([[0, 1, 2], [3, 4, 7]]).astype(dtype)
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


@pytest.mark.parametrize(
    ("number", "field", "sent", "values"),
    [
        (2, "double_val", [1.5, 2.5], [1.5, 2.5, 2.5, 2.5]),
        (3, "int_val", [1, -2], [1, -2, -2, -2]),
        (4, "int_val", [300], [44, 44, 44, 44]),  # wraps, as in C++
        (6, "int_val", [], [0, 0, 0, 0]),
        (7, "string_val", [b"a", b"b\0"], [b"a", b"b\0", b"b\0", b"b\0"]),
        (7, "string_val", [], [b"", b"", b"", b""]),
        (8, "scomplex_val", [1.0, 2.0, 3.0], [1 + 2j] * 4),  # half a number does not count
        (18, "dcomplex_val", [0.0, 1.0, 2.0, 0.0], [1j, 2, 2, 2]),
        (9, "int64_val", [2**62], [2**62] * 4),
        (10, "bool_val", [True, False], [True, False, False, False]),
        (14, "half_val", [0x3F80], [1.0] * 4),
        (19, "half_val", [0x3C00, 0x18000], [1.0, -0.0, -0.0, -0.0]),  # the upper bits are cut off
        (22, "uint32_val", [2**32 - 1, 7, 8, 9, 10], [2**32 - 1, 7, 8, 9]),
        (23, "uint64_val", [2**64 - 1], [2**64 - 1] * 4),
        (24, "float8_val", b"\x3c", [1.0] * 4),
        (30, "int_val", [15, 3], [15, 3, 3, 3]),
        (11, "int_val", [-128, 5], [(-128,), (5,), (5,), (5,)]),
    ],
)
def test_every_typed_field_repeats_its_last_value(number: int, field: str, sent: Any, values: list[Any]) -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto(0).__class__(dtype=number)
    proto.tensor_shape.dim.add(size=4)
    if isinstance(sent, bytes):
        setattr(proto, field, sent)
    else:
        getattr(proto, field).extend(sent)
    assert to_array(proto).dtype == BY_NUMBER[number].numpy
    assert to_array(proto).tolist() == values


def test_a_huge_claim_costs_nothing() -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto([1.0])
    tracemalloc.start()
    for sizes in ([2**27], [2**40], [2**20, 2**20]):
        del proto.tensor_shape.dim[:]
        for size in sizes:
            proto.tensor_shape.dim.add(size=size)
        for dtype in (1, 7, 30):
            proto.dtype = dtype
            if dtype != 30 or sizes != [2**27]:  # 128 MiB of int4 may be filled
                with pytest.raises(InputError, match="must not claim more than 268435456 bytes. Received: "):
                    to_array(proto)
    proto.dtype, proto.tensor_content = 7, b"\x00" * 10
    with pytest.raises(InputError, match="ends within the strings' lengths"):
        to_array(proto)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_claim_up_to_the_maximum_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr("tfchain.deployment.server.servables.tensor_proto._MAX_FILLED_BYTES", 64)
    proto = tf.make_tensor_proto(0, tf.int64).__class__(dtype=9, int64_val=[1, 2])
    proto.tensor_shape.dim.add(size=8)
    assert to_array(proto).tolist() == [1, 2, 2, 2, 2, 2, 2, 2]
    proto.tensor_shape.dim[0].size = 9
    with pytest.raises(InputError, match="more than 64 bytes. Received: 9 elements of 8 bytes"):
        to_array(proto)
    proto.int64_val.extend(range(3, 10))  # nothing is left to fill
    assert to_array(proto).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_shapes_are_read_as_in_cpp() -> None:
    import tensorflow as tf

    unknown = tf.make_tensor_proto(3.0)
    unknown.tensor_shape.unknown_rank = True  # has no meaning for a value
    assert to_array(unknown).tolist() == 3.0
    empty = tf.make_tensor_proto([1.0])
    empty.tensor_shape.dim[0].size = 0
    empty.tensor_content = b"anything"  # no element needs it
    assert to_array(empty).tolist() == []
    empty.tensor_shape.dim.add(size=2**40)
    assert to_array(empty).shape == (0, 2**40)
    many = tf.make_tensor_proto(1.0)
    many.tensor_shape.dim.extend([empty.tensor_shape.Dim(size=1)] * 65)
    with pytest.raises(ValueError, match="maximum supported dimension"):
        to_array(many)


def test_values_that_no_message_can_contain_are_refused() -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto(0).__class__()
    with pytest.raises(InputError, match="must fit into a message of 2 GiB. Received: 4294967296 bytes"):
        to_proto(np.broadcast_to(np.float32(0), 2**30), proto)
    assert not proto.HasField("tensor_shape")


def test_what_is_no_tensor_is_refused() -> None:
    import tensorflow as tf

    proto = tf.make_tensor_proto([1.0])
    proto.tensor_shape.dim[0].size = -1
    with pytest.raises(InputError, match="complete shape"):
        to_array(proto)
    proto.tensor_shape.dim[0].size = 2**62
    with pytest.raises(InputError, match="must not claim more than 268435456 bytes"):
        to_array(proto)
    proto.tensor_shape.dim.add().size = 2
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
    with pytest.raises(InputError, match="must not claim more than"):
        to_array(proto)
