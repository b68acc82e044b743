"""The report that compares candidates: as values, a table, JSON, and a picture of the Pareto front."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.optimization.report_folder import load_report, save_report

COLUMNS = ("MB on disk", "index MB", "peak MB", "query ms", "95 % ms", "texts/s")
WIDTH = 160  # of the table as text
WEIGHT_COLUMNS = ("zeros %", "MB zipped")


@dataclass(frozen=True, kw_only=True)
class CandidateReport:
    """The measurements of one candidate; None or empty if not measured.

    Args:
        name: The candidate's name, such as `int8`.
        recipes: The recipes as plain values; empty for the float32 model.
        precision: The precision that its vectors are computed in.
        metrics: Metric of the task → value.
        files: Size in bytes of each file that a server of the model needs: `model.tflite` or a SavedModel, and the
            tokenizer's files.
        index_bytes: Memory of the ranked documents' vectors, scales and codebook included.
        peak_memory_mb: Peak memory of a process that only loads the model and encodes, in millions of bytes.
        query_median_ms: Median time of one query from text to vector.
        query_p95_ms: 95th percentile of the same time.
        texts_per_second: Documents per second in bulk.
        weights: Zeros and distinct values by matrix, and the files' compressed size, if a candidate is pruned or
            clustered; see `WeightReport.to_dict`.
    """

    name: str
    recipes: Sequence[Mapping[str, Any]] = ()
    precision: str = "float32"
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    index_bytes: int | None = None
    peak_memory_mb: float | None = None
    query_median_ms: float | None = None
    query_p95_ms: float | None = None
    texts_per_second: float | None = None
    weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**dataclasses.asdict(self), "recipes": list(self.recipes), "size_bytes": self.size_bytes}


@dataclass(frozen=True, kw_only=True)
class CompressionReport:
    """The measurements of all candidates in one run, the float32 model first.

    `print(report)` shows the table; `save` writes it with the JSON and the picture.

    Args:
        candidates: The candidates.
        kept: The name of the candidate that was kept. Default: none was chosen.
        rule: The rule as plain values. Default: no rule.
        objective: The metric that the picture shows. Default: none was measured.
    """

    candidates: Sequence[CandidateReport]
    kept: str | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    objective: str | None = None

    def __getitem__(self, name: str) -> CandidateReport:
        """Returns the candidate with this name."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.candidates)
        raise InputError(f"The report has the candidates {names}. Received: {name!r}.")

    @property
    def metrics(self) -> list[str]:
        """The metrics that were measured for any candidate, in order."""
        return list(dict.fromkeys(name for candidate in self.candidates for name in candidate.metrics))

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=WIDTH, highlight=False, color_system=None, no_color=True)
        with console.capture() as capture:
            console.print(self.to_table())
        return capture.get()

    def to_table(self) -> Any:
        """A table for rich's console; an arrow marks the kept candidate."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("")
        table.add_column("candidate")
        with_weights = any(candidate.weights for candidate in self.candidates)
        for name in (*self.metrics, *COLUMNS, *(WEIGHT_COLUMNS if with_weights else ())):
            table.add_column(name, justify="right")
        for candidate in self.candidates:
            cells = [*(_show(candidate.metrics.get(name), 4) for name in self.metrics), *_to_cells(candidate)]
            cells += [*(_to_weight_cells(candidate) if with_weights else ())]
            table.add_row("→" if candidate.name == self.kept else "", candidate.name, *cells)
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kept": self.kept,
            "objective": self.objective,
            "rule": dict(self.rule),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }

    def save(self, path: str | Path) -> Path:
        """Writes `report.json`, `report.txt` (the table) and, if the objective was measured, `pareto.png`.

        Args:
            path: A folder; created if missing.

        Returns:
            The folder.

        Raises:
            TfchainError: if it cannot be written.
        """
        from tfchain.optimization.picture import draw_pareto

        measured = self.objective and all(self.objective in candidate.metrics for candidate in self.candidates)
        return save_report(path, self.to_dict(), str(self), {"pareto.png": draw_pareto(self)} if measured else {})

    @classmethod
    def load(cls, path: str | Path) -> "CompressionReport":
        """Reads the `report.json` of a folder that `save` wrote.

        Raises:
            InputError: if the file is missing or damaged.
        """

        def make(values: dict[str, Any]) -> CompressionReport:
            for candidate in values["candidates"]:
                candidate.pop("size_bytes")
            candidates = tuple(CandidateReport(**candidate) for candidate in values.pop("candidates"))
            return cls(candidates=candidates, **values)

        return load_report(path, make)


def _to_cells(report: CandidateReport) -> list[str]:
    return [
        _show(report.size_bytes / 1e6 if report.files else None, 1),
        _show(None if report.index_bytes is None else report.index_bytes / 1e6, 2),
        _show(report.peak_memory_mb, 0),
        _show(report.query_median_ms, 2),
        _show(report.query_p95_ms, 2),
        _show(report.texts_per_second, 1),
    ]


def _to_weight_cells(report: CandidateReport) -> list[str]:
    if not report.weights:
        return [_show(None, 1)] * len(WEIGHT_COLUMNS)
    return [_show(100 * report.weights["sparsity"], 1), _show(report.weights["zipped_bytes"] / 1e6, 1)]


def _show(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
