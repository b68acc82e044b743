"""Times of requests: their rate, and how they are bunched."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.capacity.arrivals import Burst, make_arrivals


def test_random_requests_come_at_their_rate_and_without_memory() -> None:
    """Of a Poisson process, the gaps' deviation is their mean."""
    gaps = np.diff(make_arrivals(50.0, 100_000))

    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.02)


def test_bursts_keep_the_mean_rate_and_have_their_own() -> None:
    """Four times the mean for a tenth of the time, so two thirds of it otherwise: 0.1 · 4 + 0.9 · 2/3 = 1."""
    times = make_arrivals(100.0, 400_000, burst=Burst(4.0, share=0.1, seconds=2.0))
    counts = np.bincount(times.astype(int))

    assert len(times) / times[-1] == pytest.approx(100, rel=0.1)
    assert np.quantile(counts, 0.3) == pytest.approx(100 * 2 / 3, rel=0.15)
    assert np.quantile(counts, 0.995) == pytest.approx(400, rel=0.15)


def test_another_rate_gives_the_same_times_closer_together() -> None:
    assert np.allclose(make_arrivals(10.0, 100, seed=5), 2 * make_arrivals(20.0, 100, seed=5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factor": 0.5}, "must be at least 1, and at most 10"),
        ({"factor": 11.0}, "no traffic is left outside of them then. Received: factor=11.0"),
        ({"factor": 2.0, "share": 1.0}, "above 0 and below 1"),
        ({"factor": 2.0, "seconds": 0.0}, "`seconds` positive"),
    ],
)
def test_impossible_bursts_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Burst(**values)
