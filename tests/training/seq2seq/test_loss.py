"""Label smoothing, beside its definition worked out in NumPy."""

import numpy as np
import tensorflow as tf

from tfchain.training.seq2seq.loss import smoothed_cross_entropy

LOGITS = np.array([[[2.0, 0.0, 1.0, -1.0], [0.5, 0.5, 0.5, 0.5]]], "float32")
LOG_PROBABILITIES = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))


def test_without_smoothing_it_is_the_negative_log_probability() -> None:
    losses = smoothed_cross_entropy(LOGITS, np.array([[2, 0]], "int32"))
    np.testing.assert_allclose(losses, [[-LOG_PROBABILITIES[0, 0, 2], np.log(4)]], rtol=1e-6)


def test_smoothing_spreads_a_part_over_the_vocabulary() -> None:
    target = np.full(4, 0.1 / 4) + 0.9 * np.eye(4)[2]
    losses = smoothed_cross_entropy(LOGITS, np.array([[2, -1]], "int32"), smoothing=0.1)
    np.testing.assert_allclose(losses, [[-(target * LOG_PROBABILITIES[0, 0]).sum(), 0]], rtol=1e-6)


def test_the_gradient_is_the_difference_of_the_distributions() -> None:
    logits = tf.constant(LOGITS[:, :1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(smoothed_cross_entropy(logits, np.array([[2]], "int32"), smoothing=0.1))
    target = np.full(4, 0.1 / 4) + 0.9 * np.eye(4)[2]
    np.testing.assert_allclose(tape.gradient(loss, logits)[0, 0], np.exp(LOG_PROBABILITIES[0, 0]) - target, atol=1e-6)
