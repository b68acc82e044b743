"""The softmaxes over items, worked out by hand."""

import math

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.training.recommendation.loss import RecommendationLoss, full_softmax, get_loss, sampled_softmax

USERS = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
ITEMS = np.array([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]], "float32")


def cross_entropy(own: float, others: list[float]) -> float:
    return math.log(sum(map(math.exp, [own, *others]))) - own


def test_all_items_but_the_excluded_are_compared() -> None:
    excluded = np.array([[False, False, False], [True, True, False]])
    found = np.asarray(full_softmax(USERS, ITEMS, np.array([0, 1]), excluded))
    # Scores: 2, 1, 0 and 0, 3, 1; the second user's own item, 1, counts although it is marked.
    np.testing.assert_allclose(found, [cross_entropy(2, [1, 0]), cross_entropy(3, [1])], rtol=1e-6)
    smooth = np.asarray(full_softmax(USERS, ITEMS, np.array([0, 1]), excluded, label_smoothing=0.3))
    total = math.log(math.exp(2) + math.e + 1)
    expected = 0.8 * (total - 2) + 0.1 * (total - 1) + 0.1 * total  # 0.7 + 0.3 / 3 for the own item
    np.testing.assert_allclose(smooth[0], expected, rtol=1e-6)


def test_a_sample_is_corrected_for_how_likely_each_item_was() -> None:
    positives = ITEMS[[0, 1]]
    excluded = np.array([[True, False, False], [False, True, False]])
    log_q = np.log(np.array([0.5, 0.25, 0.25], "float32"))
    found = np.asarray(
        sampled_softmax(USERS, positives, ITEMS, excluded, log_q, log_q_of_targets=log_q[[0, 1]])
    )  # fmt: skip
    first = cross_entropy(2 - math.log(0.5), [1 - math.log(0.25), 0 - math.log(0.25)])
    second = cross_entropy(3 - math.log(0.25), [0 - math.log(0.5), 1 - math.log(0.25)])
    np.testing.assert_allclose(found, [first, second], rtol=1e-6)


def test_only_the_hardest_negatives_count() -> None:
    excluded = np.array([[True, False, False], [False, True, False]])
    zeros = np.zeros(3, "float32")
    found = np.asarray(
        sampled_softmax(USERS, ITEMS[[0, 1]], ITEMS, excluded, zeros, log_q_of_targets=zeros[:2], num_hard=1)
    )  # fmt: skip
    np.testing.assert_allclose(found, [cross_entropy(2, [1]), cross_entropy(3, [1])], rtol=1e-6)


def test_a_loss_is_chosen_by_what_is_given() -> None:
    assert get_loss(None, num_items=100).name == "full_softmax"
    assert get_loss(None, num_items=100_000).name == "sampled_softmax"
    assert get_loss("sampled_softmax", num_items=1) == RecommendationLoss(name="sampled_softmax")
    assert get_loss({"name": "sampled_softmax", "memory": 5}, num_items=1).memory == 5
    for given, message in (
        ("bpr", "`loss` of a recommendation must be one of full_softmax, sampled_softmax. Received: 'bpr'"),
        ({"scale": 3}, "does not know these settings"),
        (7, "must be one of full_softmax, sampled_softmax, a dict of its arguments"),
        ({"memory": 5}, "full_softmax has all of them. Received: memory=5, num_hard=None"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be in \[0, 1\)"),
    ):
        with pytest.raises(InputError, match=message):
            get_loss(given, num_items=10)
