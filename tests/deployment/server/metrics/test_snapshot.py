"""Metrics of several processes, added up."""

import json

from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Histogram, Reading, Registry
from tfchain.deployment.server.metrics.snapshot import add_snapshot, label_readings, take_snapshot


def make_registry(factor: int) -> Registry:
    registry = Registry()
    requests = registry.add(Counter("requests", "Requests.", ("model", "status")))
    requests.labels("docs", "OK").add(2 * factor)
    requests.labels(f"only {factor}", "OK").add(factor)
    registry.add(Gauge("queue", "Waiting.")).labels().set(3 * factor)
    seconds = registry.add(Histogram("seconds", "Time.", ("model",), bounds=(0.1, 1)))
    for value in [0.0625, 0.5, 5.0][:factor]:
        seconds.labels("docs").observe(value)
    return registry


def test_cells_with_equal_labels_are_added_up_as_json_carries_them() -> None:
    total = Registry()
    for factor in (1, 2):
        add_snapshot(total, json.loads(json.dumps(take_snapshot(make_registry(factor)))))
    assert write_metrics(total.metrics()) == (
        "# TYPE queue gauge\n"
        "queue{} 9\n"
        "# TYPE requests counter\n"
        'requests{model="docs",status="OK"} 6\n'
        'requests{model="only 1",status="OK"} 1\n'
        'requests{model="only 2",status="OK"} 2\n'
        "# TYPE seconds histogram\n"
        'seconds_bucket{model="docs",le="0.1"} 2\n'
        'seconds_bucket{model="docs",le="1"} 3\n'
        'seconds_bucket{model="docs",le="+Inf"} 3\n'
        'seconds_sum{model="docs"} 0.625\n'
        'seconds_count{model="docs"} 3\n'
    )


def test_the_worst_value_of_a_gauge_is_not_hidden_by_others() -> None:
    total = Registry()
    for drift, recall in ((0.25, 0.75), (3.0, 1.0), (0.5, 0.5)):
        registry = Registry()
        registry.add(Gauge("drift", "Drift.", ("stream",), over_workers="max")).labels("queries").set(drift)
        registry.add(Gauge("recall", "Recall.", over_workers="min")).labels().set(recall)
        add_snapshot(total, json.loads(json.dumps(take_snapshot(registry))))
    assert write_metrics(total.metrics()) == (
        '# TYPE drift gauge\ndrift{stream="queries"} 3\n# TYPE recall gauge\nrecall{} 0.5\n'
    )


def test_gauges_of_a_process_that_has_ended_are_left_out() -> None:
    total = Registry()
    add_snapshot(total, take_snapshot(make_registry(1)), has_gauges=False)
    assert [metric.name for metric in total.metrics()] == ["requests", "seconds"]


def test_readings_of_processes_stand_side_by_side() -> None:
    total = Registry()
    for worker, value in (("1", 10), ("2", 20.5)):
        add_snapshot(total, label_readings([Reading("process_threads", "Threads.", "gauge", value)], "worker", worker))
    assert write_metrics(total.metrics(), has_help=True) == (
        "# HELP process_threads Threads.\n"
        "# TYPE process_threads gauge\n"
        'process_threads{worker="1"} 10\n'
        'process_threads{worker="2"} 20.5\n'
    )
