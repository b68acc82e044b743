"""A registry's numbers as JSON values, and the sum of several processes' numbers."""

from collections.abc import Iterable
from typing import Any

from tfchain.deployment.server.metrics.registry import AnyMetric, Counter, Gauge, Histogram, Reading, Registry


def take_snapshot(registry: Registry) -> list[Any]:
    """Returns all metrics of a registry, as values that JSON can hold."""
    return [_read(metric) for metric in registry.metrics()]


def add_snapshot(total: Registry, snapshot: Iterable[Any], *, has_gauges: bool = True) -> None:
    """Adds the metrics of a snapshot to a registry: cells with equal labels are added up, or as a gauge says.

    Args:
        total: The registry.
        snapshot: What `take_snapshot` returned, here or in another process.
        has_gauges: Whether to add gauges, too. Those of a process that has ended mean nothing. Default: True.
    """
    for entry in snapshot:
        kind, cells = entry["kind"], entry["cells"]
        if kind == "histogram":
            histogram = total.add(Histogram(entry["name"], entry["help"], entry["labels"], bounds=entry["bounds"]))
            for values, counts, amount in cells:
                histogram.labels(*values).merge(counts, amount)
        elif kind == "counter":
            counter = total.add(Counter(entry["name"], entry["help"], entry["labels"]))
            for values, amount in cells:
                counter.labels(*values).add(amount)
        elif has_gauges:
            over_workers = entry.get("over_workers", "sum")
            gauge = total.add(Gauge(entry["name"], entry["help"], entry["labels"], over_workers=over_workers))
            for values, amount in cells:
                gauge.merge(tuple(values), amount)


def label_readings(readings: Iterable[Reading], label: str, value: str) -> list[Any]:
    """Returns readings as a snapshot, with a label.

    Args:
        readings: The readings.
        label: The label's name.
        value: The label's value.
    """
    return [
        {"name": each.name, "help": each.help, "kind": each.kind, "labels": [label], "cells": [[[value], each.value]]}
        for each in readings
    ]


def _read(metric: AnyMetric) -> dict[str, Any]:
    entry = {"name": metric.name, "help": metric.help, "kind": metric.kind, "labels": metric.label_names}
    if isinstance(metric, Histogram):
        return {
            **entry,
            "bounds": metric.bounds,
            "cells": [(values, *cell.snapshot()) for values, cell in metric.cells()],
        }
    if isinstance(metric, Gauge):
        entry["over_workers"] = metric.over_workers
    return {**entry, "cells": [(values, cell.value) for values, cell in metric.cells()]}
