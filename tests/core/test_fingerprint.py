"""Fingerprints tell contents apart."""

import hashlib

import numpy as np

from tfchain.core.fingerprint import ArrayBlocks, make_fingerprint


def test_the_hash_is_that_of_the_configuration_and_the_named_bytes() -> None:
    array = np.array([[1.0, 2.0]], np.float32)
    content = b'{"a": 1, "b": "\xc3\xa9"}' + b"\0weight\0float32\0(1, 2)\0" + b"\0\0\x80?\0\0\0@"
    fingerprint = make_fingerprint({"b": "é", "a": 1}, [("weight", array)])
    assert fingerprint == hashlib.sha256(content).hexdigest()


def test_layout_in_memory_does_not_count() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    fingerprint = make_fingerprint({}, [("weight", array)])
    assert make_fingerprint({}, [("weight", np.asfortranarray(array))]) == fingerprint
    assert make_fingerprint({}, [("weight", array.astype(">f4"))]) == fingerprint


def test_an_array_in_blocks_has_the_hash_of_the_whole() -> None:
    array = np.arange(10, dtype=np.float32).reshape(5, 2)
    whole = make_fingerprint({}, [("weight", array), ("other", array)])
    blocks = ArrayBlocks("float32", (5, 2), iter((array[:2], array[2:4], array[4:])))
    assert make_fingerprint({}, [("weight", blocks), ("other", array)]) == whole


def test_every_difference_counts() -> None:
    array = np.arange(6, dtype=np.float32)
    one_bit = array.copy()
    one_bit[5] = np.nextafter(one_bit[5], np.float32(9))
    fingerprints = [
        make_fingerprint({}, [("weight", array)]),
        make_fingerprint({"pooling": "mean"}, [("weight", array)]),
        make_fingerprint({}, [("other", array)]),
        make_fingerprint({}, [("weight", one_bit)]),
        make_fingerprint({}, [("weight", array.reshape(2, 3))]),
        make_fingerprint({}, [("weight", array.view(np.int32))]),
        make_fingerprint({}, [("weight", array[:3]), ("weight", array[3:])]),
        make_fingerprint({}, []),
    ]
    assert len(set(fingerprints)) == len(fingerprints)


def test_bfloat16_scalars_and_empty_arrays_are_hashed() -> None:
    import ml_dtypes

    arrays = [np.zeros(2, ml_dtypes.bfloat16), np.zeros(2, np.float16), np.zeros((), np.float32), np.zeros((0, 3))]
    assert len({make_fingerprint({}, [("weight", array)]) for array in arrays}) == 4
