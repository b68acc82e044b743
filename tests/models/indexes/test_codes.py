"""Vectors in few bits, against values worked out by hand."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.indexes.codes import from_signs, hamming, to_int8, to_signs
from tfchain.models.indexes.storage import VectorStorage


def test_int8_rounds_to_steps_of_the_largest_value() -> None:
    vectors = np.array([[1.27, -0.5, 0.004], [0.0, 0.0, 0.0], [-254.0, 3.1, 2.9]], dtype="float32")
    numbers, scales = to_int8(vectors)
    assert numbers.dtype == np.int8
    assert numbers.tolist() == [[127, -50, 0], [0, 0, 0], [-127, 2, 1]]
    np.testing.assert_allclose(scales, [0.01, 0, 2], rtol=1e-6)


def test_signs_are_packed_with_the_first_dimension_in_the_highest_bit() -> None:
    vectors = np.array([[1, -1, 0, 2, -3, 5, -7, 9, 4], [-1] * 9], dtype="float32")
    codes = to_signs(vectors)
    assert codes.tolist() == [[0b10010101, 0b10000000], [0, 0]]
    assert from_signs(codes, 9).tolist() == [[1, -1, -1, 1, -1, 1, -1, 1, 1], [-1] * 9]


@pytest.mark.parametrize("dim", [5, 16, 32, 40, 64, 192])  # rows of 1, 2, 4, 5, 8 and 24 bytes
def test_hamming_counts_the_dimensions_whose_signs_differ(dim: int) -> None:
    random = np.random.default_rng(dim)
    queries, documents = random.normal(size=(3, dim)), random.normal(size=(7, dim))
    expected = ((queries > 0)[:, None] != (documents > 0)[None]).sum(axis=-1)
    np.testing.assert_array_equal(hamming(to_signs(queries), to_signs(documents)), expected)


@pytest.mark.parametrize(("values", "message"), [
    ({"precision": "int4"}, "`precision` of vectors must be one of float32, int8, binary. Received: precision='int4'"),
    ({"precision": None}, "Received: precision=None"),
    ({"precision": "binary", "rescore_multiplier": 0}, "`rescore_multiplier` must be a whole number of at least 1"),
    ({"precision": "binary", "rescore_multiplier": 2.5}, "Received: rescore_multiplier=2.5. Give None for no resc"),
    ({"precision": "binary", "codes": "itq"}, "`codes` of vectors must be one of learned, signs. Received: codes="),
])  # fmt: skip
def test_a_storage_out_of_range_is_one_clear_error(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        VectorStorage(**values)


def test_a_storage_is_plain_values_of_what_counts() -> None:
    assert VectorStorage("int8").to_dict() == {"precision": "int8"}
    binary = VectorStorage("binary", rescore_multiplier=None, codes="signs")
    assert binary.to_dict() == {"precision": "binary", "rescore_multiplier": None, "codes": "signs"}
    assert VectorStorage.from_dict(binary.to_dict()) == binary
    assert VectorStorage.from_dict(None) == VectorStorage("float32")
