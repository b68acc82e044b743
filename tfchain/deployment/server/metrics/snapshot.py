"""A registry's numbers as JSON values, and the sum of several processes' numbers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tfchain.deployment.server.metrics.registry import AnyMetric, Counter, Gauge, Histogram, Reading, Registry

_NUMBERS: dict[str, Callable[[str, str, Sequence[str]], Counter | Gauge]] = {"counter": Counter, "gauge": Gauge}


def take_snapshot(registry: Registry) -> list[Any]:
    """Returns all metrics of a registry, as values that JSON can hold."""
    return [_read(metric) for metric in registry.metrics()]


def add_snapshot(total: Registry, snapshot: Iterable[Any], *, has_gauges: bool = True) -> None:
    """Adds the metrics of a snapshot to a registry: cells with equal labels are added up.

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
        elif has_gauges or kind != "gauge":
            metric: Any = _NUMBERS[kind](entry["name"], entry["help"], entry["labels"])
            metric = total.add(metric)
            for values, amount in cells:
                metric.labels(*values).add(amount)


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
    return {**entry, "cells": [(values, cell.value) for values, cell in metric.cells()]}
