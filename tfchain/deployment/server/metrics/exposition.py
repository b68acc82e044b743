"""Writes metrics in Prometheus' text format, as TensorFlow Serving's exporter does."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from tfchain.deployment.server.metrics.registry import AnyMetric, Histogram, Reading

CONTENT_TYPE = "text/plain"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def write_metrics(metrics: Sequence[AnyMetric], readings: Sequence[Reading] = (), *, has_help: bool = False) -> str:
    """Writes metrics, with a `# TYPE` line each, also where a metric has no value yet.

    Args:
        metrics: The metrics, in order.
        readings: Numbers without labels, which follow.
        has_help: Whether to write `# HELP` lines, which TensorFlow Serving leaves out. Default: False.
    """
    lines: list[str] = []
    for metric in (*metrics, *readings):
        if has_help:
            lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += [f"{metric.name} {_number(metric.value)}"] if isinstance(metric, Reading) else _write_cells(metric)
    return "\n".join(lines) + "\n"


def _write_cells(metric: AnyMetric) -> Iterator[str]:
    if isinstance(metric, Histogram):
        limits = [*(f"{bound:g}" for bound in metric.bounds), "+Inf"]
        for values, cell in metric.cells():
            labels = _write_labels(metric.label_names, values)
            counts, total = cell.snapshot()
            running = list(accumulate(counts))
            for limit, count in zip(limits, running, strict=True):
                yield f'{metric.name}_bucket{{{labels}{"," if labels else ""}le="{limit}"}} {count}'
            yield f"{metric.name}_sum{{{labels}}} {_number(total)}"
            yield f"{metric.name}_count{{{labels}}} {running[-1]}"
        return
    for values, number in metric.cells():
        yield f"{metric.name}{{{_write_labels(metric.label_names, values)}}} {_number(number.value)}"


def _write_labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
