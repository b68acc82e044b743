"""MaxSim by hand, token vectors in other numbers, and clusters of tokens."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.late_interaction.maxsim import TokenVectors, join_vectors, max_sim, split_matrices, take_texts
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.late_interaction.token_pooling import pool_texts, pool_tokens

QUERY = np.array([[1, 0], [0, 1]], "float32")
# A document of one token and one of two: 0.6 + 0.8, and the best of (1, 0.6) + (0, 0.8).
DOCUMENTS = TokenVectors(np.array([[0.6, 0.8], [1, 0], [0.6, 0.8]], "float32"), np.array([0, 1, 3]))


def test_a_score_is_the_sum_of_each_query_tokens_best_similarity() -> None:
    np.testing.assert_allclose(max_sim(QUERY, DOCUMENTS), [1.4, 1.8], rtol=1e-6)
    np.testing.assert_allclose(max_sim(QUERY, DOCUMENTS, "mean"), [0.7, 0.9], rtol=1e-6)
    assert max_sim(QUERY, join_vectors([], 2)).shape == (0,)


def test_a_negative_similarity_is_the_best_one_where_there_is_no_other() -> None:
    away = TokenVectors(np.array([[-1, 0], [-0.6, -0.8]], "float32"), np.array([0, 2]))
    np.testing.assert_allclose(max_sim(QUERY, away), [-0.6 + 0], atol=1e-6)  # max(-1, -0.6) + max(0, -0.8)


def test_zeros_in_a_matrix_are_no_tokens() -> None:
    matrices = np.array([[1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]], "float32")
    found = split_matrices(matrices, 2)
    assert found.starts.tolist() == [0, 2, 3]  # a text without any has one vector of zeros
    assert found.values.tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(("storage", "tolerance", "size"), [("float32", 0, 4), ("float16", 5e-4, 2), ("int8", 4e-3, 1)])
def test_vectors_in_other_numbers_are_near(storage, tolerance: float, size: int) -> None:
    values = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    kept = TokenVectors(values, np.array([0, 2, 6])).store(storage)
    assert kept.values.itemsize == size
    np.testing.assert_allclose(kept.to_float(), values, atol=tolerance)
    np.testing.assert_array_equal(kept.take(1), kept.to_float()[2:])
    joined = join_vectors([take_texts(kept, 1, 2), take_texts(kept, 0, 1)], 8)
    np.testing.assert_array_equal(joined.to_float(), kept.to_float()[[2, 3, 4, 5, 0, 1]])
    assert joined.starts.tolist() == [0, 4, 6]


def test_the_largest_number_of_a_vector_is_127_in_int8() -> None:
    kept = TokenVectors(np.array([[0.5, -0.25], [0, 0]], "float32"), np.array([0, 2])).store("int8")
    assert kept.values.tolist() == [[127, -64], [0, 0]]  # -0.25 / 0.5 · 127 = -63.5, rounded to even
    np.testing.assert_allclose(kept.scales[0], 0.5 / 127)


def test_similar_tokens_share_the_mean_of_their_cluster() -> None:
    tokens = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0.96, 0.28, 0], [0.28, 0.96, 0]], "float32")
    pooled = pool_tokens(tokens, 2)
    assert pooled[0].tolist() == [0, 0, 1]  # the first token is kept
    means = np.array([[1.96, 0.28, 0], [0.28, 1.96, 0]])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(sorted(pooled[1:].tolist()), sorted(means.tolist()), atol=1e-6)
    assert len(pool_tokens(tokens, 4)) == 2  # one for four tokens
    assert pool_tokens(tokens, 1) is tokens
    assert pool_tokens(tokens[:2], 4).tolist() == tokens[:2].tolist()  # nothing to pool
    texts = pool_texts(TokenVectors(np.concatenate([tokens, tokens[:2]]), np.array([0, 5, 7])), 2)
    assert texts.starts.tolist() == [0, 3, 5]


def test_options_out_of_range() -> None:
    for values, message in (
        ({"storage": "int4"}, "`storage` must be one of float32, float16, int8"),
        ({"scale": "max"}, "`scale` must be one of sum, mean"),
        ({"pool_factor": 0}, "`pool_factor` must be a whole number of at least 1"),
        ({"pool_factor": 99}, "`pool_factor` must be at most 16"),
    ):
        with pytest.raises(InputError, match=message):
            LateOptions(**values)
