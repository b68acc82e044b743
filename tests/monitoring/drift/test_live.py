"""A server's versions are watched beside their own references, and vectors are made at a bounded rate."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.observation import AnsweringVersion, Observation
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.live import CHECK_SECONDS, LiveDrift
from tfchain.monitoring.drift.reference import REFERENCE_FILE, Sample, make_reference, write_reference

CONFIG = DriftConfig(window=20, stride=20, horizon=200, num_runs=50, most_vectors=100)


def draw(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, size=(count, 3))


@pytest.fixture(scope="module")
def reference_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("reference") / "reference.npz"
    return write_reference(file, make_reference(Sample(draw(0, 60)), config=CONFIG)).read_bytes()


class Server:
    """Versions that answer, their gauges, and a clock that a test moves."""

    def __init__(self, folder: Path, reference: bytes) -> None:
        self.versions = {("docs", number): AnsweringVersion(folder / str(number), self.embed) for number in (1, 2)}
        for version in self.versions.values():
            (version.path / "assets.extra").mkdir(parents=True)
        self.reference = reference
        self.give(1)
        self.gauges: dict[tuple[str, ...], float] = {}
        self.embedded: list[str] = []
        self.now = 100.0

    def give(self, number: int) -> None:
        (self.versions["docs", number].path / REFERENCE_FILE).write_bytes(self.reference)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded += texts
        return draw(len(self.embedded), len(texts), 4.0)

    def add_gauge(self, name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: str = "sum") -> object:
        assert labels[:2] == ("model", "version")
        return lambda value, *values: self.gauges.__setitem__((name, *values), value)

    def watch(self, **options: float) -> LiveDrift:
        find = lambda model, version: self.versions.get((model, version))  # noqa: E731
        return LiveDrift(find, self.add_gauge, clock=lambda: self.now, **options)  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path, reference_bytes: bytes) -> Server:
    return Server(tmp_path, reference_bytes)


def observation(number: int, version: int = 1, vector: np.ndarray | None = None) -> Observation:
    return Observation(0.0, "docs", version, "search", f"q{number}", f"text {number}", embedding=vector)


def test_drift_of_a_version_is_a_gauge_and_one_warning(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    watch = server.watch(texts_per_second=1000.0)
    with caplog.at_level(logging.WARNING):
        watch.observe(observation(0))
        assert server.gauges == {("tfchain_drift", "docs", "1", "queries"): 0}  # it is watched
        for number in range(1, 60):
            watch.observe(observation(number))
            watch.observe(observation(number, version=2))  # has no reference
    assert server.gauges["tfchain_drift", "docs", "1", "queries"] == 1
    assert server.gauges["tfchain_drift_ratio", "docs", "1", "queries", "vectors"] > 1
    assert [record.message for record in caplog.records] == [
        "Version 1 of docs: The queries drift after 20 of them: vectors."
    ]
    assert server.embedded == [f"text {number}" for number in range(60)]


def test_vectors_are_made_at_a_bounded_rate_and_those_of_answers_are_always_taken(server: Server) -> None:
    watch = server.watch(texts_per_second=4.0)
    for second in range(10):
        server.now = 100.0 + second
        for number in range(50):
            watch.observe(observation(number))
    assert len(server.embedded) == 40  # 4 in each of ten seconds, in two strides of 20
    for vector in draw(2, 40):
        watch.observe(observation(0, vector=vector))
    assert server.gauges["tfchain_drift", "docs", "1", "queries"] == 0
    assert len(server.embedded) == 40


def test_a_version_that_goes_is_forgotten_and_one_that_gets_a_reference_is_watched(server: Server) -> None:
    watch = server.watch(texts_per_second=1000.0)
    for number in range(40):
        watch.observe(observation(number))
        watch.observe(observation(number, version=2))
    del server.versions["docs", 1]
    server.give(2)
    watch.tick()
    assert server.gauges["tfchain_drift", "docs", "1", "queries"] == 1  # it has not looked yet
    server.now += CHECK_SECONDS
    watch.tick()
    assert server.gauges["tfchain_drift", "docs", "1", "queries"] == 0
    assert server.gauges["tfchain_drift_ratio", "docs", "1", "queries", "vectors"] == 0
    assert server.gauges["tfchain_drift", "docs", "2", "queries"] == 0
    for number in range(40):
        watch.observe(observation(number))  # an answer of the version that has gone
        watch.observe(observation(number, version=2))
    assert server.gauges["tfchain_drift", "docs", "2", "queries"] == 1
    watch.close()
    assert server.gauges["tfchain_drift", "docs", "2", "queries"] == 0


def test_a_damaged_reference_is_a_warning_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    (server.versions["docs", 1].path / REFERENCE_FILE).write_bytes(b"no archive")
    watch = server.watch()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            watch.observe(observation(number))
            server.now += CHECK_SECONDS
            watch.tick()
    assert [record.message.partition(": ")[0] for record in caplog.records] == [
        "Version 1 of docs is not watched for drift"
    ]


def test_a_rate_must_be_positive(server: Server) -> None:
    with pytest.raises(InputError, match=r"`texts_per_second` must be above 0. Received: 0.0."):
        server.watch(texts_per_second=0.0)
