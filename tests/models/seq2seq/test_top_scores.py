"""The highest scores are those of TensorFlow's own op."""

import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.seq2seq.top_scores import find_top


@pytest.mark.parametrize("size", [64 * 12, 64 * 12 + 17, 40])
def test_scores_and_places_are_those_of_top_k(size: int) -> None:
    scores = np.random.default_rng(0).integers(0, 50, (5, size)).astype("float32")  # many are equal
    scores[0, :] = -np.inf
    scores[1, -1] = 100
    values, places = find_top(tf.constant(scores), 3, size)
    expected = tf.math.top_k(scores, 3)
    np.testing.assert_array_equal(values, expected.values)
    np.testing.assert_array_equal(places, expected.indices)
