"""The loss of a reader beside the same logarithms worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.training.losses.graph_gradients import find_graph_gradient
from tfchain.core.errors import InputError
from tfchain.training.losses.spans import SpanLoss

START, END = [1.0, 2.0, 0.0], [0.0, 1.0, 3.0]
LOGITS = np.array([list(zip(START, END, strict=True))], "float32").reshape(1, 1, 6)


def test_it_is_the_mean_of_two_cross_entropies() -> None:
    loss = SpanLoss()
    start = math.log(sum(map(math.exp, START))) - START[1]
    end = math.log(sum(map(math.exp, END))) - END[2]
    found = loss.call({"labels": np.array([[1.0, 2.0, 3.0]])}, tf.constant(LOGITS))
    np.testing.assert_allclose(found, [(start + end) / 2], rtol=1e-6)


def test_what_is_behind_a_pair_does_not_compete() -> None:
    start = math.log(math.exp(1) + math.exp(2)) - 1
    end = math.log(math.exp(0) + math.exp(1)) - 0
    found = SpanLoss().call({"labels": np.array([[0.0, 0.0, 2.0]])}, tf.constant(LOGITS))  # no answer, of two tokens
    np.testing.assert_allclose(found, [(start + end) / 2], rtol=1e-6)


def test_its_gradient_moves_the_answers_logits_up() -> None:
    labels, logits = {"labels": np.array([[1.0, 2.0, 3.0]])}, tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = SpanLoss()(labels, logits)
    found = tape.gradient(value, logits).numpy()
    np.testing.assert_allclose(find_graph_gradient(SpanLoss(), labels, logits)[1], found, atol=1e-6)
    gradient = found.reshape(3, 2)
    assert gradient[1, 0] < 0 < gradient[0, 0]
    assert gradient[2, 1] < 0 < gradient[1, 1]


@pytest.mark.parametrize("labels", [None, np.zeros((1, 2)), np.array([[2.0, 1.0, 3.0]]), np.array([[0.0, 3.0, 3.0]])])
def test_other_labels_are_refused(labels: np.ndarray | None) -> None:
    with pytest.raises(InputError, match="The loss `spanloss`"):
        SpanLoss().check(1, labels)
    SpanLoss().check(1, np.array([[0.0, 2.0, 3.0]]))
