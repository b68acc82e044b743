"""New items are found and put together, with examples."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from tfchain.monitoring.drift.newcomers import find_newcomers, silhouette


def test_two_new_subjects_are_two_clusters_with_their_examples() -> None:
    generator = np.random.default_rng(0)
    reference = generator.normal(scale=0.1, size=(100, 2))
    known = generator.normal(scale=0.05, size=(20, 2))
    cards = generator.normal([5, 0], 0.1, size=(30, 2))
    loans = generator.normal([0, 5], 0.1, size=(10, 2))
    texts = ["known"] * 20 + ["card lost"] * 29 + ["card stolen"] + ["a loan"] * 10

    found = find_newcomers(np.concatenate([known, cards, loans]), texts, reference)

    assert found.share == pytest.approx(40 / 60, abs=0.05)
    assert [cluster.size for cluster in found.clusters[:2]] == [30, 10]
    assert found.clusters[0].share == 0.5
    assert set(found.clusters[0].examples) == {"card lost", "card stolen"}
    assert found.clusters[1].examples == ("a loan",)
    assert found.clusters[0].distance == pytest.approx(4.8, abs=0.2)
    assert found.to_dict()["clusters"][1]["size"] == 10


def test_known_items_are_no_newcomers() -> None:
    reference = np.arange(40.0)[:, None]

    found = find_newcomers(np.array([[3.0], [7.5]]), ["a", "b"], reference)

    assert (found.share, found.near, found.clusters) == (0.0, 1.0, ())


def test_a_few_new_items_are_one_cluster() -> None:
    found = find_newcomers(np.array([[90.0], [91.0], [400.0]]), ["a", "b", "c"], np.arange(40.0)[:, None])

    assert [cluster.size for cluster in found.clusters] == [3]
    assert found.clusters[0].examples[0] == "b"  # the nearest to all


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_silhouette_is_that_of_scikit_learn(number: int) -> None:
    generator = np.random.default_rng(number)
    points = generator.normal(size=(30, 2))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    labels = np.append(generator.integers(number, size=29), number)  # one of them alone

    assert silhouette(distances, labels) == pytest.approx(silhouette_score(distances, labels, metric="precomputed"))
    assert silhouette(distances, np.zeros(30)) == 0
