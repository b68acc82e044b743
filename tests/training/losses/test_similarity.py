"""Similarities and distances against values worked out by hand; their gradients where vectors coincide or vanish."""

import numpy as np
import pytest
import tensorflow as tf

from tfchain.training.losses.similarity import (
    angle_similarity,
    normalize,
    own_document,
    pairwise_distance,
    pairwise_similarity,
    similarity_matrix,
    split_columns,
)

LEFT = np.array([[3.0, 4.0], [0.0, 2.0]], "float32")
RIGHT = np.array([[4.0, 3.0], [0.0, -1.0]], "float32")


def test_similarities_and_distances_are_those_worked_out_by_hand():
    np.testing.assert_allclose(similarity_matrix(LEFT, RIGHT, "dot"), [[24, -4], [6, -2]])
    np.testing.assert_allclose(similarity_matrix(LEFT, RIGHT, "cosine"), [[0.96, -0.8], [0.6, -1]], rtol=1e-6)
    np.testing.assert_allclose(pairwise_similarity(LEFT, RIGHT, "dot"), [24, -2])
    np.testing.assert_allclose(pairwise_distance(LEFT, RIGHT, "cosine"), [0.04, 2], rtol=1e-5)
    np.testing.assert_allclose(pairwise_distance(LEFT, RIGHT, "euclidean"), [2**0.5, 3], rtol=1e-6)
    np.testing.assert_allclose(pairwise_distance(LEFT, RIGHT, "manhattan"), [2, 3])
    # Cosine 0.96, sine (4 * 4 - 3 * 3) / 25 = 0.28; cosine -1, sine 0.
    np.testing.assert_allclose(angle_similarity(LEFT, RIGHT), [1.24, 1.0], rtol=1e-6)


def test_a_zero_vector_stays_zero():
    np.testing.assert_allclose(normalize(np.array([[0.0, 0.0], [3.0, 4.0]], "float32")), [[0, 0], [0.6, 0.8]])


def test_vectors_of_nan_were_zero_vectors_and_the_same_as_any_other():
    bad = np.array([[np.nan, 1.0]], "float32")
    assert np.isnan(normalize(bad)).all()
    for distance in ("cosine", "euclidean", "manhattan"):
        assert np.isnan(pairwise_distance(bad, LEFT[:1], distance)).all()


def test_documents_stand_column_by_column():
    queries, documents = split_columns(tf.reshape(tf.range(6), (2, 3, 1)))

    assert queries.numpy().ravel().tolist() == [0, 3]
    assert documents.numpy().ravel().tolist() == [1, 4, 2, 5]
    assert own_document(2, 4).numpy().tolist() == [[True, False, False, False], [False, True, False, False]]


# XLA computes what is not taken too: there a careless square root gives NaN, where TensorFlow's own kernel does not.
@pytest.mark.parametrize("jit_compile", [False, True])
def test_no_gradient_flows_where_there_is_no_direction(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def gradients(vectors):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(vectors)
            values = normalize(vectors)[:, 0], pairwise_distance(vectors, tf.zeros_like(vectors), "euclidean")
        return [tape.gradient(value, vectors) for value in values]

    of_direction, of_distance = gradients(tf.constant([[0.0, 0.0], [3.0, 4.0]]))

    np.testing.assert_allclose(of_direction, [[0, 0], [0.128, -0.096]], rtol=1e-5)  # (1 - 0.36) / 5, -0.48 / 5
    np.testing.assert_allclose(of_distance, [[0, 0], [0.6, 0.8]], rtol=1e-6)
