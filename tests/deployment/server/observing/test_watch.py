"""The queue between the threads that answer and the one that observes: it never waits, and drops what is too much."""

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tfchain.core.observation import Feedback, Observation
from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.observing.answered import NOBODY, Answered, Asker
from tfchain.deployment.server.observing.text_metrics import TextMetrics, make_add_gauge
from tfchain.deployment.server.observing.watch import Watch


class Memory:
    """A monitor that remembers what it is told; `gate` holds it up."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.events: list[Feedback] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_closed = False

    def observe(self, observation: Observation) -> None:
        self.gate.wait(10)
        if observation.text == "fail":
            raise ValueError("a monitor's own fault")
        self.observations.append(observation)

    def take_feedback(self, feedback: Feedback) -> None:
        self.events.append(feedback)

    def tick(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


def make_answered(*texts: str, **fields: Any) -> Answered:
    return Answered("docs", 3, "search", texts, 0.5, Asker(query_id="q").make_ids(len(texts)), **fields)


def metrics_of(registry: Registry) -> list[str]:
    return [line for line in write_metrics(registry.metrics()).splitlines() if not line.startswith("#")]


def test_what_was_answered_is_observed_with_its_tokens() -> None:
    memory, registry = Memory(), Registry()
    asked: list[tuple[str, int, str, Sequence[str | bytes]]] = []

    def count(model: str, version: int, purpose: str, texts: Sequence[str | bytes]) -> list[tuple[int, int | None]]:
        asked.append((model, version, purpose, texts))
        return [(len(text), 1) for text in texts]

    with Watch(memory, registry, count_tokens=count) as watch:
        ids = np.array([[b"a", b"b"], [b"c", b""]], object)
        scores = np.array([[0.75, 0.5], [0.25, -np.inf]], np.float32)
        watch.put(
            make_answered("cats", "dog", ids=ids, scores=scores, purpose="query", attributes={"top_k": 2}, time=5.0)
        )
        watch.put_feedback([Feedback(6.0, "click", "q.0", "a", 1)])
    first, second = memory.observations
    assert asked == [("docs", 3, "query", ["cats", "dog"])]
    assert (first.text, first.query_id, first.ids, first.scores) == ("cats", "q.0", ("a", "b"), (0.75, 0.5))
    assert (first.time, first.latency_ms, first.num_tokens, first.num_unknown_tokens) == (5.0, 500.0, 4, 1)
    assert (second.query_id, second.ids, second.scores) == ("q.1", ("c",), (0.25,))  # the blank is no hit
    assert first.attributes == {"top_k": 2, "purpose": "query"}
    assert [event.object_id for event in memory.events] == ["a"]
    assert memory.is_closed
    found = metrics_of(registry)
    assert 'tfchain_observed_texts_total{model="docs",version="3",task="search"} 2' in found
    assert 'tfchain_text_tokens_sum{model="docs",version="3"} 7' in found
    assert 'tfchain_unknown_tokens_total{model="docs",version="3"} 2' in found
    assert 'tfchain_best_score_bucket{model="docs",version="3",task="search",le="0.75"} 2' in found
    assert 'tfchain_score_gap_sum{model="docs",version="3",task="search"} 0.25' in found
    assert 'tfchain_empty_results_total{model="docs",version="3"} 0' in found
    assert 'tfchain_feedback_total{action="click"} 1' in found


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits() -> None:
    memory, registry = Memory(), Registry()
    memory.gate.clear()
    watch = Watch(memory, registry, capacity=3)
    for number in range(5):
        watch.put(make_answered(str(number)))
    assert watch.put_feedback([Feedback(1.0, "click")] * 2) == 0
    watch.put(make_answered(*map(str, range(70))))
    watch.start()
    memory.gate.set()
    watch.close()
    assert [one.text for one in memory.observations] == ["0", "1", "2"]
    found = metrics_of(registry)
    assert 'tfchain_observations_dropped_total{reason="queue"} 68' in found  # 2 texts, 2 events, 64 of a large request
    assert 'tfchain_observations_dropped_total{reason="request"} 6' in found


def test_room_comes_back_once_texts_are_taken() -> None:
    memory = Memory()
    with Watch(memory, Registry(), capacity=1) as watch:
        for number in range(3):
            watch.put(make_answered(str(number)))
            while len(memory.observations) <= number:
                threading.Event().wait(0.001)
    assert [one.text for one in memory.observations] == ["0", "1", "2"]


def test_a_monitor_that_fails_costs_an_observation_and_a_line(caplog: pytest.LogCaptureFixture) -> None:
    memory, registry = Memory(), Registry()
    with caplog.at_level(logging.WARNING), Watch(memory, registry) as watch:
        for text in ("fail", "works", "fail"):
            watch.put(make_answered(text))
    assert [one.text for one in memory.observations] == ["works"]
    assert "tfchain_observer_errors_total{} 2" in metrics_of(registry)
    assert caplog.text.count("The observer of the server's answers failed.") == 1


def test_a_share_of_the_requests_is_chosen() -> None:
    numbers = iter([0.1, 0.3, 0.2])
    watch = Watch(None, Registry(), share=0.25, choose=lambda: next(numbers))
    assert [watch.observes() for _ in range(3)] == [True, False, True]
    assert not Watch(None, Registry(), share=0.0).observes()
    assert Watch(None, Registry(), choose=lambda: 1.0).observes()


def test_what_a_person_is_called_is_no_metric_and_clients_words_are_bounded() -> None:
    registry = Registry()
    metrics = TextMetrics(registry)
    for action in ("click ana@example.org", "+49 30 1234567", *("a" * length for length in range(1, 32)), *"bcdefghij"):
        metrics.count_feedback(Feedback(1.0, action))
    for first in "klmnopqrst":
        for second in "xyz":
            metrics.count_feedback(Feedback(1.0, first + second))
    metrics.count_feedback(Feedback(1.0, "thumbs_up"))
    found = [line for line in metrics_of(registry) if line.startswith("tfchain_feedback_total")]
    assert len(found) == 52  # fifty words, thumbs, and the rest
    assert 'tfchain_feedback_total{action="other"} 22' in found
    assert 'tfchain_feedback_total{action="thumbs_up"} 1' in found


def test_metrics_are_kept_without_a_monitor() -> None:
    registry = Registry()
    with Watch(None, registry) as watch:
        watch.put(make_answered("nothing is found", ids=[[]]))
        watch.put_feedback([Feedback(1.0, "thumbs_down")])
    assert 'tfchain_empty_results_total{model="docs",version="3"} 1' in metrics_of(registry)
    assert 'tfchain_feedback_total{action="thumbs_down"} 1' in metrics_of(registry)


def test_the_ids_of_a_request_are_the_clients_or_new_ones() -> None:
    headers = {"x-query-id": "mine", "x-client-id": "browser", "other": "x"}
    asker = Asker.of_headers(headers)
    assert (asker.make_ids(1), asker.make_ids(2), asker.client_id) == (["mine"], ["mine.0", "mine.1"], "browser")
    assert Asker.of_headers({"x-query-id": "x" * 99, "x-client-id": "y" * 101}) == NOBODY
    first, second = NOBODY.make_ids(2)
    assert first != second
    assert len(first) == 32


def test_observers_add_gauges_of_their_own() -> None:
    registry = Registry()
    add_gauge = make_add_gauge(registry)
    add_gauge("tfchain_drift", "A drift.", ("model",))(0.25, "docs")
    add_gauge("tfchain_plain", "A number.")(3)
    assert metrics_of(registry) == ['tfchain_drift{model="docs"} 0.25', "tfchain_plain{} 3"]
