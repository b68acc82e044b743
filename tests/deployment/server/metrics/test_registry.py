"""Counters, gauges and histograms, and the text that Prometheus reads."""

import threading
import time
import timeit

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.metrics import registry as module
from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.process import read_process
from tfchain.deployment.server.metrics.registry import (
    Counter,
    Gauge,
    Histogram,
    Reading,
    Registry,
    exponential_bounds,
)
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.status import Code, StatusError


def test_a_histogram_counts_a_value_in_the_bucket_of_its_bound() -> None:
    histogram = Histogram("h", "a histogram", ("status",), bounds=(1, 2, 4, 8))
    for value in (0.5, 2, 3, 20):
        histogram.labels("good").observe(value)
    assert write_metrics([histogram]) == (
        "# TYPE h histogram\n"
        'h_bucket{status="good",le="1"} 1\n'
        'h_bucket{status="good",le="2"} 2\n'
        'h_bucket{status="good",le="4"} 3\n'
        'h_bucket{status="good",le="8"} 3\n'
        'h_bucket{status="good",le="+Inf"} 4\n'
        'h_sum{status="good"} 25.5\n'
        'h_count{status="good"} 4\n'
    )


def test_counters_gauges_and_readings_are_written_by_their_labels() -> None:
    counter, gauge = Counter(":test:total", "a counter", ("name",)), Gauge("g", "a gauge")
    counter.labels("b").add(2)
    counter.labels("a").add()
    gauge.labels().set(5)
    gauge.labels().add(-2.5)
    text = write_metrics([counter, gauge], [Reading("r", "a reading", "gauge", 7)], has_help=True)
    assert text == (
        '# HELP :test:total a counter\n# TYPE :test:total counter\n:test:total{name="a"} 1\n:test:total{name="b"} 2\n'
        "# HELP g a gauge\n# TYPE g gauge\ng{} 2.5\n# HELP r a reading\n# TYPE r gauge\nr 7\n"
    )


def test_threads_lose_no_count() -> None:
    counter, histogram = Counter("c", "", ("x",)), Histogram("h", "", bounds=(1,))

    def work() -> None:
        for _ in range(2000):
            counter.labels("a").add()
            histogram.labels().observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.labels("a").value == 16_000
    assert histogram.labels().snapshot() == ([16_000, 0], 8_000)


def test_too_many_labels_share_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 2)
    counter = Counter("c", "", ("name", "status"))
    for number in range(5):
        counter.labels(f"name {number}", "OK").add()
    counter.labels("name 0", "OK").add()
    assert {labels: cell.value for labels, cell in counter.cells()} == {
        ("name 0", "OK"): 2,
        ("name 1", "OK"): 1,
        ("(other)", "(other)"): 3,
    }
    counter.remove("name 1", "OK")
    assert ("name 1", "OK") not in dict(counter.cells())


def test_a_metric_is_shared_by_its_name_if_it_is_the_same() -> None:
    registry = Registry()
    first = registry.add(Counter("c", "", ("model",)))
    assert registry.add(Counter("c", "", ("model",))) is first
    registry.add(Gauge("b", ""))
    assert [metric.name for metric in registry.metrics()] == ["b", "c"]
    for other in (Counter("c", "", ("version",)), Gauge("c", "", ("model",))):
        with pytest.raises(InputError, match=r"The metric c exists already, as a counter with the labels \('model',\)"):
            registry.add(other)  # type: ignore[type-var]


def test_wrong_labels_and_bounds_are_named() -> None:
    with pytest.raises(InputError, match=r"The metric c has the labels \('a', 'b'\). Received: \('x',\)"):
        Counter("c", "", ("a", "b")).labels("x")
    for bounds in ((), (2, 1), (1, 1)):
        with pytest.raises(InputError, match="`bounds` of the metric h must be ascending numbers"):
            Histogram("h", "", bounds=bounds)


def test_the_bounds_of_latencies_are_those_of_tensorflow_serving() -> None:
    bounds = exponential_bounds(10, 1.8, 33)
    assert bounds[:3] == (10, 18, pytest.approx(32.4))
    assert (len(bounds), bounds[-1]) == (33, pytest.approx(10 * 1.8**32))


def test_an_error_is_counted_by_its_code_and_not_measured() -> None:
    metrics = ServingMetrics()
    for error in (StatusError(Code.UNAVAILABLE, "full"), KeyError("a bug")):
        with pytest.raises(type(error)), Call(metrics, "REST", "m", "predict"):
            raise error
    with Call(metrics, "REST") as call:
        call.model = "m"
    assert [(labels, cell.value) for labels, cell in metrics.requests.cells()] == [
        (("m", "INTERNAL"), 1),
        (("m", "OK"), 1),
        (("m", "UNAVAILABLE"), 1),
    ]
    assert [labels for labels, _ in metrics.request_latency.cells()] == [("m", "", "REST")]


def test_the_examples_of_a_multi_inference_are_counted_and_added_up() -> None:
    metrics = ServingMetrics()
    metrics.count_multi_inference("m", 0.001, 3)
    metrics.count_multi_inference("m", 0.001, 1)
    lines = write_metrics(metrics.registry.metrics()).splitlines()
    assert ':tensorflow:serving:request_example_counts_bucket{model="m",le="2"} 1' in lines
    assert ':tensorflow:serving:request_example_counts_bucket{model="m",le="16384"} 2' in lines
    assert ':tensorflow:serving:request_example_count_total{model="m"} 4' in lines


def test_a_failed_warm_up_and_one_without_records_are_not_measured() -> None:
    metrics = ServingMetrics()
    metrics.measure_warmup("/m/1", lambda: 0)
    with pytest.raises(ZeroDivisionError):
        metrics.measure_warmup("/m/1", lambda: 1 // 0)
    assert "warmup_latency_count" not in write_metrics(metrics.registry.metrics())


def test_a_request_costs_microseconds() -> None:
    metrics = ServingMetrics()

    def count() -> None:
        with Call(metrics, "REST") as call:
            call.model, call.api = "m", "predict"
        metrics.count_run("m", "Predict", 0.001)

    assert (
        min(timeit.repeat(count, number=1000, repeat=5, timer=time.process_time)) / 1000 < 30e-6
    )  # 3e-6 of processor time was measured


def test_the_process_knows_itself() -> None:
    found = {reading.name: reading.value for reading in read_process()}
    assert found["process_resident_memory_bytes"] > 1e6
    assert found["process_threads"] >= 1
    assert 0 < found["process_open_fds"] <= found["process_max_fds"]
    assert found["process_start_time_seconds"] > 1.6e9


def test_a_label_that_is_too_long_is_not_kept() -> None:
    counter = Counter("c", "a counter", ("model",))
    for length in (256, 257, 1_000_000):
        counter.labels("m" * length).add()
    assert [(values, cell.value) for values, cell in counter.cells()] == [(("(other)",), 2), (("m" * 256,), 1)]


def test_a_version_that_is_gone_is_forgotten_by_all_metrics_that_name_it_first() -> None:
    registry = Registry()
    texts = registry.add(Counter("texts", "Texts.", ("model", "version", "task")))
    paths = registry.add(Counter("paths", "Paths.", ("path", "version")))
    for labels in (("docs", "1", "search"), ("docs", "2", "search"), ("other", "1", "search")):
        texts.labels(*labels).add()
    paths.labels("docs", "1").add()
    registry.forget("docs", "1")
    assert [values for values, _ in texts.cells()] == [("docs", "2", "search"), ("other", "1", "search")]
    assert [values for values, _ in paths.cells()] == [("docs", "1")]
