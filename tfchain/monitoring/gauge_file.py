"""Gauges in a file of Prometheus' text format, for its textfile collector."""

from collections.abc import Mapping
from pathlib import Path

from tfchain.core.atomic import write_file
from tfchain.core.observation import OverWorkers, SetGauge


class GaugeFile:
    """Gauges that are written to a file, whole each time, which node_exporter's textfile collector reads.

    Args:
        path: The file; its name ends in `.prom`, as the collector wants it.
        labels: Labels of every gauge. Default: none.
    """

    def __init__(self, path: Path | str, labels: Mapping[str, str] | None = None) -> None:
        self._path = Path(path)
        self._labels = dict(labels or {})
        self._helps: dict[str, str] = {}
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}

    def add_gauge(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: OverWorkers = "sum"
    ) -> SetGauge:
        """Adds a gauge; see `core.observation.AddGauge`. The file is one process's: `over_workers` says nothing."""
        self._helps[name] = help
        values = self._values.setdefault(name, {})

        def set_gauge(value: float, *label_values: str) -> None:
            own = dict(zip(labels, map(str, label_values), strict=True))
            values[tuple({**self._labels, **own}.items())] = float(value)

        return set_gauge

    def write(self) -> Path:
        """Writes the gauges that have a value.

        Returns:
            The file.

        Raises:
            TfchainError: if it cannot be written.
        """
        lines = []
        for name, values in self._values.items():
            if values:
                lines += [f"# HELP {name} {self._helps[name]}", f"# TYPE {name} gauge"]
                lines += [f"{name}{_write_labels(labels)} {value:.9g}" for labels, value in values.items()]
        return write_file(self._path, "".join(f"{line}\n" for line in lines))


def _write_labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
