"""Maximum mean discrepancy, beside the formula written out and by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from tfchain.core.errors import InputError
from tfchain.monitoring.drift import mean_discrepancy as module
from tfchain.monitoring.drift.mean_discrepancy import find_bandwidth, make_kernel, mean_discrepancy


def estimate(one: np.ndarray, other: np.ndarray, bandwidth: float) -> float:
    """The unbiased estimate as Gretton et al. 2012 write it, pair by pair."""

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(first, second, "sqeuclidean") / (2 * bandwidth**2))

    n, m = len(one), len(other)
    of_one, of_other = kernel(one, one), kernel(other, other)
    return float(
        (of_one.sum() - n) / (n * (n - 1)) + (of_other.sum() - m) / (m * (m - 1)) - 2 * kernel(one, other).mean()
    )


def test_the_value_and_the_bandwidth_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 16)  # several blocks
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(20, 3)), generator.normal(size=(31, 3)) + 0.5
    bandwidth = float(np.median(pdist(np.concatenate([one, other]))))

    found = mean_discrepancy(one, other, num_permutations=20)

    assert found.bandwidth == pytest.approx(bandwidth, rel=1e-6)
    assert found.value == pytest.approx(estimate(one, other, bandwidth), abs=1e-6)
    assert mean_discrepancy(other, one, num_permutations=20).value == pytest.approx(found.value, abs=1e-6)


def test_two_points_far_from_two_points_by_hand() -> None:
    # Within each pair the kernel is 1, between the pairs about 0: 1 + 1 - 2 · 0.
    found = mean_discrepancy(np.zeros((2, 1)), np.full((2, 1), 100.0), bandwidth=1.0, num_permutations=50)

    assert found.value == pytest.approx(2.0)
    # Of the six ways to deal out four vectors two keep the pairs together.
    assert found.p_value == pytest.approx(1 / 3, abs=0.15)


def test_the_p_value_is_even_without_a_difference_and_least_with_one() -> None:
    generator = np.random.default_rng(0)
    draws = [generator.normal(size=(30, 2)) for _ in range(40)]
    values = [
        mean_discrepancy(one, other, num_permutations=99).p_value
        for one, other in zip(draws[::2], draws[1::2], strict=True)
    ]

    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) <= 0.1) < 0.3
    assert mean_discrepancy(draws[0], draws[1] + 2, num_permutations=99).p_value == 0.01


def test_the_median_of_equal_vectors_is_no_width() -> None:
    assert find_bandwidth(np.ones((5, 2))) == 1.0
    assert make_kernel(np.zeros((1, 1)), np.array([[1.0]]), 1.0)[0, 0] == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": np.zeros((1, 2))}, "`first` must be two or more vectors, an array (vectors, dim)"),
        ({"first": np.zeros((3, 5))}, "Both sets must have vectors of one width. Received: 5 and 2"),
        ({"second": np.array([[0.0, np.nan], [0, 0]])}, "Received: a vector 0 that is not"),
        ({"bandwidth": 0}, "`bandwidth` must be above 0. Received: bandwidth=0"),
        ({"num_permutations": 0}, "`num_permutations` must be a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: dict, message: str) -> None:
    with pytest.raises(InputError) as raised:
        mean_discrepancy(**{"first": np.zeros((3, 2)), "second": np.ones((3, 2)), **arguments})
    assert message in str(raised.value)
