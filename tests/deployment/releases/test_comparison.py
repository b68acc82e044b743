import math

import numpy as np
import pytest
from scipy import stats

from tfchain.core.errors import InputError
from tfchain.deployment.releases.comparison import compare_values


def test_the_p_value_is_scipys_of_the_same_test() -> None:
    random = np.random.default_rng(0)
    live = random.random(60)
    new = live + random.normal(0.03, 0.15, 60)
    found = compare_values(live, new, metric="ndcg@10")
    expected = stats.permutation_test(
        (new - live,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.012)
    assert found.gain == pytest.approx((new - live).mean())


def test_the_bounds_are_those_of_students_t_where_the_differences_are_normal() -> None:
    random = np.random.default_rng(2)
    live = np.full(200, 0.1)
    gains = random.normal(0.01, 0.1, 200)
    found = compare_values(live, live + gains, metric="ndcg@10")
    low, high = stats.t.interval(0.9, 199, loc=gains.mean(), scale=stats.sem(gains))
    assert found.low == pytest.approx(low, abs=0.0012)
    assert found.high == pytest.approx(high, abs=0.0012)


def test_equal_answers_exclude_only_what_so_many_items_can_exclude() -> None:
    live = np.full(300, 0.6)
    found = compare_values(live, live, metric="ndcg@10")
    assert (found.gain, found.p_value, found.num_changed) == (0.0, 1.0, 0)
    assert found.low == pytest.approx(-(1 - 0.05 ** (1 / 300)) * 0.6)  # the rule of three: about 3 / 300 * 0.6
    assert found.high == pytest.approx(0, abs=1e-6)
    assert found.detectable == pytest.approx((1 - 0.2 ** (1 / 300)) * 0.6)


def test_the_detectable_loss_is_that_of_the_normal_approximation() -> None:
    random = np.random.default_rng(3)
    live = random.random(400)
    gains = random.normal(0, 0.2, 400)
    found = compare_values(live, live + gains, metric="ndcg@10")
    assert found.detectable == pytest.approx((1.6449 + 0.8416) * gains.std(ddof=1) / math.sqrt(400), rel=1e-3)


def test_an_error_that_falls_is_a_gain() -> None:
    live, new = np.linspace(0.4, 0.6, 50), np.linspace(0.2, 0.4, 50)
    found = compare_values(live, new, metric="log_loss", lower_is_better=True)
    assert found.gain == pytest.approx(0.2)
    assert found.low > 0.1
    assert found.p_worse == 1.0


def test_the_same_data_gives_the_same_comparison() -> None:
    random = np.random.default_rng(4)
    live, new = random.random(80), random.random(80)
    assert compare_values(live, new, metric="m", seed=5) == compare_values(live, new, metric="m", seed=5)


@pytest.mark.parametrize(
    ("live", "new", "message"),
    [
        (np.zeros(9), np.zeros(9), "at least 10 judged items for a comparison. Received: 9."),
        (np.zeros(12), np.zeros(11), "a value for each item of the evaluation set. Received: values of the shapes"),
        (np.zeros(12), np.full(12, np.nan), "The values of m must be numbers. Received: some that are not finite."),
    ],
)
def test_values_that_cannot_be_compared_are_refused(live: np.ndarray, new: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare_values(live, new, metric="m")
