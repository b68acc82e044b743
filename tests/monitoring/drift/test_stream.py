"""A stream is compared when it is time, and says what has changed."""

import numpy as np
import pytest

from tests.monitoring.drift.test_mean_discrepancy import estimate
from tfchain.core.distributions import smirnov_distance
from tfchain.core.errors import InputError
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.reference import Sample
from tfchain.monitoring.drift.stream import DriftStream

CONFIG = DriftConfig(window=40, stride=20, horizon=400, num_runs=50, most_vectors=100)


@pytest.fixture(scope="module")
def sample() -> Sample:
    generator = np.random.default_rng(0)
    return Sample(generator.normal(size=(100, 3)), {"length": generator.poisson(8, 100)}).calibrate(CONFIG)


def test_looks_come_when_the_window_is_full_and_then_after_each_stride(sample: Sample) -> None:
    stream, generator = DriftStream(sample, CONFIG), np.random.default_rng(1)
    vectors, lengths = generator.normal(size=(90, 3)), generator.poisson(8, 90)

    looks = [stream.add(vector, {"length": length}) for vector, length in zip(vectors, lengths, strict=True)]

    assert [row + 1 for row, look in enumerate(looks) if look is not None] == [40, 60, 80]
    last = looks[79]
    assert last is not None
    assert sample.vectors is not None
    assert last.position == 80
    assert last.values["vectors"] == pytest.approx(estimate(vectors[40:80], sample.vectors, sample.bandwidth), abs=1e-6)
    assert last.values["length"] == pytest.approx(smirnov_distance(lengths[40:80], sample.scalars["length"]))
    assert not last.is_drift


def test_drift_begins_is_explained_and_ends(sample: Sample) -> None:
    stream, generator = DriftStream(sample, CONFIG), np.random.default_rng(1)

    def feed(shift: float, text: str) -> None:
        for vector, length in zip(generator.normal(shift, size=(40, 3)), generator.poisson(8 + shift, 40), strict=True):
            stream.add(vector, {"length": length}, text)

    feed(0, "known")
    assert stream.report().classifier_area is None
    feed(5, "new")
    report = stream.report()

    assert (report.is_drifting, report.since, report.exceeded[0]) == (True, 60, "vectors")
    assert report.classifier_area == pytest.approx(1, abs=0.01)
    assert report.newcomers is not None
    assert report.newcomers.share == 1
    assert report.newcomers.clusters[0].examples == ("new",)
    assert report.stability["length"] > 0.25
    assert report.to_dict()["newcomers"]["clusters"][0]["examples"] == ("new",)

    for vector, length in zip(generator.normal(size=(80, 3)), generator.poisson(8, 80), strict=True):
        stream.add(vector, {"length": length})
    assert (stream.report().is_drifting, stream.report().since) == (False, 0)


def test_a_scalar_that_some_items_lack_is_not_judged(sample: Sample) -> None:
    stream = DriftStream(sample, CONFIG)
    for row in range(40):
        look = stream.add(np.zeros(3), {"length": None if row == 7 else 99.0})

    assert look is not None
    assert set(look.values) == {"vectors"}


@pytest.mark.parametrize("vector", [None, np.zeros(4), np.array([0, np.nan, 0])])
def test_vectors_that_do_not_fit_are_refused(sample: Sample, vector: np.ndarray | None) -> None:
    with pytest.raises(InputError, match="An item's vector must be 3 finite numbers, as in the reference"):
        DriftStream(sample, CONFIG).add(vector, {})
