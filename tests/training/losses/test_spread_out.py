"""Spread-out regularisation by hand; test_parity.py has sentence-transformers' values."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.training.losses import CoSENT, GuidedInBatchSoftmax, InBatchSoftmax, Matryoshka, SpreadOut, Triplet


def test_the_cost_is_that_of_the_mean_and_of_the_mean_square():
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]], "float32")  # similarities 0.6, 0 and -0.8

    cost = SpreadOut(InBatchSoftmax(), mean_weight=2.0, second_moment_weight=3.0).cost(vectors)

    mean = (0.6 - 0.8) / 3
    excess = 0.0  # (0.36 + 0.64) / 3 is below 1 / 2
    np.testing.assert_allclose(cost, 2 * mean**2 + 3 * excess, rtol=1e-5)


def test_vectors_as_spread_as_random_ones_cost_nothing():
    cost = SpreadOut(InBatchSoftmax(), mean_weight=0).cost(np.eye(4, dtype="float32"))

    assert float(cost) == 0.0


def test_a_batch_of_one_costs_what_the_loss_inside_does():
    vectors = np.array([[[1.0, 0.0], [0.6, 0.8]]], "float32")

    assert float(SpreadOut(InBatchSoftmax())({}, vectors)) == float(InBatchSoftmax()({}, vectors)) == 0.0


def test_around_matryoshka_the_whole_vectors_are_spread_and_inside_it_each_width():
    vectors = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("float32")
    inner = InBatchSoftmax()
    around = SpreadOut(Matryoshka(inner, [4, 2]))
    inside = Matryoshka(SpreadOut(inner), [4, 2])

    both = float(Matryoshka(inner, [4, 2])({}, vectors))
    whole, cut = ([SpreadOut(inner).cost(vectors[:, column, :dim]) for column in (0, 1)] for dim in (4, 2))
    np.testing.assert_allclose(around({}, vectors), both + np.mean(whole), rtol=1e-5)
    np.testing.assert_allclose(inside({}, vectors), both + np.mean(whole) + np.mean(cut), rtol=1e-5)


def test_what_the_loss_inside_needs_is_needed():
    guided = SpreadOut(GuidedInBatchSoftmax())
    assert guided.needs_guide
    assert guided.contrasts_rows
    assert SpreadOut(CoSENT()).labels == CoSENT.labels
    with pytest.raises(InputError, match="The loss `guided_in_batch_softmax` needs a guide model."):
        guided.check_vectors(8, None)
    with pytest.raises(InputError, match="`dims` of the loss `matryoshka` must be at most"):
        SpreadOut(Matryoshka(Triplet(), [16])).check_vectors(8, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpreadOut("in_batch_softmax"), "must be a loss of tfchain, such as InBatchSoftmax"),
        (lambda: SpreadOut(InBatchSoftmax(), mean_weight=-1), "`mean_weight` must be a finite number of at least 0."),
        (
            lambda: SpreadOut(InBatchSoftmax(), mean_weight=0, second_moment_weight=0),
            "must be above 0. Received: 0 for both. Use the loss inside without it.",
        ),
        (lambda: SpreadOut(InBatchSoftmax(), aggregation="max"), "`aggregation` must be one of mean, sum."),
        (lambda: SpreadOut(InBatchSoftmax(), similarity="l2"), "`similarity` must be one of cosine, dot."),
    ],
)
def test_arguments_out_of_range_are_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
