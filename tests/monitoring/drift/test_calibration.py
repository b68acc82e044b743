"""The thresholds hold the rate of false alarms that was asked for."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from tests.monitoring.drift.test_mean_discrepancy import estimate
from tfchain.core.distributions import smirnov_distance
from tfchain.core.errors import InputError
from tfchain.monitoring.drift.calibration import CumulativeShares, _largest_discrepancies, _largest_distances
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.mean_discrepancy import find_bandwidth, make_kernel
from tfchain.monitoring.drift.reference import Sample
from tfchain.monitoring.drift.stream import DriftStream

SMALL = DriftConfig(window=40, stride=20, horizon=400, false_alarms=0.2, num_runs=300, most_vectors=200)


def test_simulated_values_are_those_of_the_formulas() -> None:
    generator = np.random.default_rng(0)
    vectors, lengths = generator.normal(size=(30, 2)), generator.integers(1, 6, 30).astype(float)
    config = DriftConfig(window=20, stride=10, horizon=40)
    blocks = np.stack([generator.choice(30, 10, replace=False) for _ in range(4)])
    references = generator.integers(30, size=(1, 30))
    streams = np.array([[2, 0, 3, 1]])
    bandwidth = find_bandwidth(vectors)
    windows = [np.concatenate([blocks[one], blocks[other]]) for one, other in ((2, 0), (0, 3), (3, 1))]

    kernel = make_kernel(vectors, vectors, bandwidth)
    (largest,) = _largest_discrepancies(kernel, blocks, references, streams, config)
    (distance,) = _largest_distances(CumulativeShares(lengths), lengths, blocks, references, streams, config)

    expected = max(estimate(vectors[window], vectors[references[0]], bandwidth) for window in windows)
    assert largest == pytest.approx(expected, abs=1e-5)
    expected = max(smirnov_distance(lengths[window], lengths[references[0]]) for window in windows)
    assert distance == pytest.approx(expected, abs=1e-12)


def test_as_many_streams_raise_an_alarm_as_were_allowed() -> None:
    generator = np.random.default_rng(0)
    alarms: list[bool] = []
    for run in range(8):
        config = dataclasses.replace(SMALL, num_runs=100, seed=run)
        sample = Sample(generator.normal(size=(150, 5)), {"length": generator.poisson(8, 150)}).calibrate(config)
        for _ in range(5):
            stream = DriftStream(sample, config)
            items = zip(generator.normal(size=(400, 5)), generator.poisson(8, 400), strict=True)
            looks = [stream.add(vector, {"length": length}) for vector, length in items]
            alarms.append(any(look is not None and look.is_drift for look in looks))

    assert 0.02 < np.mean(alarms) <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / 40)


def test_a_looser_rate_has_lower_thresholds_and_bursts_have_higher_ones() -> None:
    generator = np.random.default_rng(0)
    centers = np.repeat(generator.normal(size=(40, 3)), 5, axis=0)  # five alike after each other
    sample = Sample(centers + 0.1 * generator.normal(size=(200, 3)), {"length": generator.poisson(8, 200)})

    loose = sample.calibrate(dataclasses.replace(SMALL, false_alarms=0.9)).thresholds
    strict = sample.calibrate(SMALL).thresholds
    bursts = sample.calibrate(dataclasses.replace(SMALL, burst=5)).thresholds

    assert set(strict) == {"vectors", "length"}
    assert loose["vectors"] < strict["vectors"] < bursts["vectors"] / 2
    assert loose["length"] < strict["length"]


def test_what_a_reference_does_not_have_may_still_come_now_and_then() -> None:
    config = DriftConfig(window=100, stride=50, horizon=1000, num_runs=20)

    (threshold,) = Sample(None, {"unknown": np.zeros(300)}).calibrate(config).thresholds.values()

    # By the rule of three they may be a hundredth of all texts; of twenty looks, one in a hundred streams sees more.
    assert threshold == pytest.approx(binom.ppf(1 - 0.01 / 20, 100, 0.01) / 100)
    assert 0.04 < threshold < 0.1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 5}, "`window` must be a whole number of at least 20. Received: window=5."),
        ({"window": 200, "stride": 30}, "`window` must be a multiple of `stride`. Received: window=200, stride=30."),
        ({"burst": 80}, "`burst` must be at most `stride`. Received: burst=80, stride=50."),
        ({"false_alarms": 1}, "`false_alarms` must be in (0, 1), a probability. Received: false_alarms=1."),
        ({"horizon": 100}, "`horizon` must be a whole number of at least 200. Received: horizon=100."),
    ],
)
def test_a_configuration_checks_itself(values: dict, message: str) -> None:
    with pytest.raises(InputError) as raised:
        DriftConfig(**values)
    assert message in str(raised.value)
