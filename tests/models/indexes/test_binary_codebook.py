"""Learned bits: what they stand for, and which are chosen."""

import itertools

import numpy as np

from tfchain.models.indexes.binary_codebook import BinaryCodebook, improve, learn_codebook, to_ones
from tfchain.models.indexes.codes import from_signs


def make_vectors(count: int, dim: int = 16) -> np.ndarray:
    """Of length one, with most of the variance in few directions, as encoders give them."""
    random = np.random.default_rng(7)
    values = random.normal(size=(count, dim)) @ (random.normal(size=(dim, dim)) * 0.8 ** np.arange(dim)[:, None]) + 1
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype("float32")


def distances(vectors: np.ndarray, matrix: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.square(vectors - codes @ matrix.T).sum(axis=1)


def test_improving_bits_ends_where_no_single_bit_brings_the_vector_nearer() -> None:
    random = np.random.default_rng(1)
    vectors, matrix = random.normal(size=(20, 6)).astype("float32"), random.normal(size=(6, 8)).astype("float32")
    begun = to_ones(random.normal(size=(20, 8)))
    codes = improve(vectors, matrix, begun, 100)
    assert (distances(vectors, matrix, codes) <= distances(vectors, matrix, begun) + 1e-4).all()
    for bit in range(8):
        other = codes.copy()
        other[:, bit] *= -1
        assert (distances(vectors, matrix, codes) <= distances(vectors, matrix, other) + 1e-4).all()


def test_an_orthogonal_matrix_gets_the_signs_which_are_the_best_of_all_codes() -> None:
    random = np.random.default_rng(2)
    matrix = np.linalg.qr(random.normal(size=(8, 8)))[0].astype("float32")
    vectors = random.normal(size=(5, 8)).astype("float32")
    codes = from_signs(BinaryCodebook(np.zeros(8, "float32"), matrix).encode(vectors), 8)
    everything = np.array(list(itertools.product([-1, 1], repeat=8)), dtype="float32")
    best = np.stack([everything[distances(one[None], matrix, everything).argmin()] for one in vectors])
    np.testing.assert_array_equal(codes, best)


def test_learned_bits_come_nearer_to_new_vectors_than_signs_at_their_best_length() -> None:
    vectors = make_vectors(600)
    book = learn_codebook(vectors[:300])
    assert book is not None
    new = vectors[300:]
    codes = from_signs(book.encode(new), 16)
    learned = np.square(new - book.mean - codes @ book.matrix.T).sum()
    signs = to_ones(new)
    plain = np.square(new - signs * (new * signs).mean()).sum()
    assert learned < 0.6 * plain


def test_a_querys_product_with_a_code_is_that_with_the_vector_it_stands_for() -> None:
    vectors = make_vectors(200)
    book = learn_codebook(vectors)
    codes = from_signs(book.encode(vectors), 16)
    projected, added = book.project(vectors[:5])
    np.testing.assert_allclose(
        projected @ codes.T + added, vectors[:5] @ (book.mean + codes @ book.matrix.T).T, atol=1e-5
    )


def test_vectors_that_are_too_few_or_all_the_same_teach_nothing() -> None:
    assert learn_codebook(make_vectors(63)) is None
    assert learn_codebook(np.repeat(make_vectors(10), 50, axis=0)) is None
    assert learn_codebook(np.empty((0, 16), "float32")) is None
