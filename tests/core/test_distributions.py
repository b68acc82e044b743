"""The measures of two distributions, beside SciPy and by hand."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from tfchain.core.distributions import (
    classifier_area,
    count_bins,
    find_edges,
    smirnov_bound,
    smirnov_distance,
    stability_index,
)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_scipys(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = generator.integers(0, 9, 70), generator.integers(1, 12, 90)  # with ties, and across them

    expected = ks_2samp(one, other).statistic

    assert smirnov_distance(one, other) == pytest.approx(expected, abs=1e-12)


def test_the_distance_by_hand() -> None:
    # At most 2: three of four here, one of four there.
    assert smirnov_distance(np.array([1, 2, 2, 5]), np.array([2, 3, 4, 5])) == 0.5


def test_the_bound_is_scipys_at_one_percent() -> None:
    generator = np.random.default_rng(0)
    bound = smirnov_bound(400, 600)
    shares = np.mean(
        [smirnov_distance(generator.normal(size=400), generator.normal(size=600)) > bound for _ in range(400)]
    )

    assert shares < 0.03


def test_bins_by_hand() -> None:
    values = np.array([1.0, 1, 1, 1, 1, 2, 3, 4, 5, 6])  # half of them fill a bin of their own
    edges = find_edges(values, 1000)

    counts = count_bins(values, edges)

    assert counts.sum() == 10
    assert counts.max() == 5
    # Shares of 55/110 and 55/110 against 105/110 and 5/110, half a value added to each bin of a hundred.
    p, q = np.array([50.5, 50.5]) / 101, np.array([95.5, 5.5]) / 101
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(np.array([50, 50]), np.array([95, 5]))[0] == pytest.approx(expected)


def test_a_classifier_tells_shifted_vectors_apart_and_equal_ones_not() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(300, 4))

    # For one normal coordinate moved by 2 the area of the best classifier is Φ(2 / √2) = 0.9214.
    moved = vectors[150:] + np.array([2, 0, 0, 0])
    area, error = classifier_area(vectors[:150], moved)
    same, _ = classifier_area(vectors[:150], vectors[150:])

    assert area == pytest.approx(0.9214, abs=0.03)
    assert error == pytest.approx(np.sqrt(301 / (12 * 150 * 150)))
    assert abs(same - 0.5) < 4 * error
