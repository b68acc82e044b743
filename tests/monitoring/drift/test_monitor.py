"""Queries, documents and the model are told apart, whatever a server sends and whatever its clock does."""

import logging
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.monitor import DriftMonitor
from tfchain.monitoring.drift.reference import Reference, Sample, make_reference

CONFIG = DriftConfig(window=40, stride=20, horizon=400, num_runs=50, most_vectors=100)


def draw(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, size=(count, 3))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_reference(Sample(draw(0, 100)), Sample(draw(1, 100), origin="documents"), config=CONFIG)


def test_queries_and_documents_are_told_apart(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for known, new in zip(draw(2, 60), draw(3, 60, 4.0), strict=True):
        monitor.add_query("known", known)
        monitor.add_document(new, "new")

    report = monitor.report()
    assert report.causes == ("documents",)
    assert report.queries is not None
    assert report.documents is not None
    assert (report.queries.is_drifting, report.documents.since) == (False, 40)
    assert report.documents.newcomers is not None
    assert report.to_dict()["documents"]["is_drifting"] is True


def test_another_model_is_told_from_other_queries(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for vector in draw(3, 40, 4.0):
        monitor.add_query("new", vector)
    assert monitor.report().causes == ("queries",)

    monitor.take_canaries(False)
    for vector in draw(3, 40, 4.0):
        assert monitor.add_query("new", vector) is None
    assert monitor.report().causes == ("model",)

    monitor.take_canaries(True)
    assert monitor.report().causes == ()  # the window begins anew
    for vector in draw(4, 40):
        look = monitor.add_query("known", vector)
    assert look is not None
    assert not look.is_drift


def observation(number: int, vector: np.ndarray | None, time: float = 0.0) -> Observation:
    return Observation(time, "docs", 1, "search", f"q{number}", f"text {number}", embedding=vector)


def test_a_server_hands_over_what_it_answered_and_its_clock_may_go_back(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for number, vector in enumerate(draw(3, 60, 4.0)):
        monitor.observe(observation(number, vector, time=1000.0 - number))
    monitor.take_feedback(Feedback(0.0, "click"))
    monitor.tick()

    report = monitor.report()
    assert (report.causes, report.latest_time) == (("queries",), 1000.0)
    assert report.queries is not None
    assert report.queries.since == 40


def test_queries_without_vectors_are_encoded_together(reference: Reference) -> None:
    asked: list[int] = []

    def encode(texts: Sequence[str]) -> np.ndarray:
        asked.append(len(texts))
        return draw(5, len(texts), 4.0)

    with DriftMonitor(reference, encode=encode) as monitor:
        for number in range(50):
            monitor.observe(observation(number, None))

    assert asked == [20, 20]
    assert monitor.report(explain=False).causes == ("queries",)
    assert monitor.skipped == 0


def test_what_does_not_fit_is_counted_and_said_once(reference: Reference, caplog: pytest.LogCaptureFixture) -> None:
    monitor = DriftMonitor(reference)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            monitor.observe(observation(number, np.zeros(7)))
        monitor.observe(observation(3, None))  # nothing encodes it

    assert monitor.skipped == 4
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "A text is left out of the drift's window"
    ]


def test_gauges_show_each_stream_and_the_model(reference: Reference) -> None:
    shown: dict[tuple[str, ...], float] = {}

    def add_gauge(name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: str = "sum") -> object:
        assert over_workers == "max"
        return lambda value, *values: shown.__setitem__((name, *values), value)

    monitor = DriftMonitor(reference, add_gauge=add_gauge)
    for vector in draw(3, 40, 4.0):
        monitor.add_query("new", vector)
    monitor.take_canaries(True)

    assert shown["tfchain_drift", "queries"] == 1
    assert shown["tfchain_drift", "model"] == 0
    assert shown["tfchain_drift_ratio", "queries", "vectors"] > 1


def test_threads_may_share_a_monitor(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    vectors = draw(2, 200)

    def add() -> None:
        for vector in vectors:
            monitor.add_query("known", vector)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    report = monitor.report().queries
    assert report is not None
    assert (report.items, report.window) == (800, 40)


def test_vectors_alone_are_queries_or_documents_as_the_request_says() -> None:
    scored = Sample(draw(0, 100), {"score": np.linspace(0, 1, 100)})
    documents = Sample(draw(1, 100), origin="documents")
    plain = Sample(draw(0, 100))
    for sample, expected in ((scored, {"query": (1, 0), "document": (0, 1), "": (0, 0)}), (plain, {"": (1, 0)})):
        reference = make_reference(sample, documents, config=CONFIG)
        for purpose, counts in expected.items():
            monitor = DriftMonitor(reference)
            attributes = {"purpose": purpose} if purpose else {}
            monitor.observe(
                Observation(0.0, "m", 1, "embed", "q", "a text", embedding=draw(5, 1)[0], attributes=attributes)
            )
            report = monitor.report()
            assert report.queries is not None
            assert report.documents is not None
            assert (report.queries.items, report.documents.items) == counts
