"""Metrics of recommendations, worked out by hand."""

import math

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.recommendation.metrics import check_metrics, largest_cutoff, measure, rank_popularity, user_values

RANKED = np.array([[4, 2, 0], [1, 0, 3], [3, 4, -1]])
WANTED = [np.array([2]), np.array([1, 3, 2]), np.array([0])]


def test_metrics_of_users() -> None:
    assert user_values("hit_rate@1", RANKED, WANTED).tolist() == [0, 1, 0]
    assert user_values("hit_rate@3", RANKED, WANTED).tolist() == [1, 1, 0]
    assert user_values("mrr@3", RANKED, WANTED).tolist() == [0.5, 1, 0]
    assert user_values("recall@3", RANKED, WANTED).tolist() == [1, 2 / 3, 0]
    best = 1 + 1 / math.log2(3) + 1 / 2
    expected = [1 / math.log2(3), (1 + 1 / 2) / best, 0]
    np.testing.assert_allclose(user_values("ndcg@3", RANKED, WANTED), expected)


def test_metrics_of_all_users() -> None:
    popularity = np.array([9, 5, 5, 1, 0])
    np.testing.assert_allclose(rank_popularity(popularity), [0.9, 0.6, 0.6, 0.3, 0.1])
    found = measure(["coverage@2", "popularity@1", "hit_rate@3"], RANKED, WANTED, popularity)
    assert found["coverage@2"] == 1.0  # 4, 2, 1, 0, 3
    assert found["popularity@1"] == pytest.approx((0.1 + 0.6 + 0.3) / 3)
    assert found["hit_rate@3"] == pytest.approx(2 / 3)


def test_unknown_metrics_are_refused() -> None:
    assert largest_cutoff(["ndcg@10", "recall@50"]) == 50
    for metrics in (["ndcg"], ["map@10"], ["ndcg@0"], [7]):
        with pytest.raises(InputError, match="must be one of ndcg, hit_rate, mrr, recall, coverage, popularity"):
            check_metrics(metrics)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`metrics` must be a list of names"):
        check_metrics("ndcg@10")
