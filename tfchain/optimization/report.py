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
    """What was measured of one candidate; None or empty where it was not.

    Args:
        name: Such as `int8`.
        recipes: The recipes as plain values; none for the model in float32.
        precision: What its vectors are computed with.
        metrics: Metric of the task → value.
        files: Size in bytes of each file that a server of the model needs: `model.tflite`, or a SavedModel, and the
            tokenizer's.
        index_bytes: What the vectors of the documents that were ranked take in memory, scales and codebook included.
        peak_memory_mb: The most memory of a process that only loads it and encodes, in millions of bytes.
        query_median_ms: Median time of one query from text to vector.
        query_p95_ms: 95th percentile of the same.
        texts_per_second: Documents a second in bulk.
        weights: Zeros and different values by matrix, and the files' size when zipped, where a candidate is pruned or
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
        """All files together."""
        return sum(self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**dataclasses.asdict(self), "recipes": list(self.recipes), "size_bytes": self.size_bytes}


@dataclass(frozen=True, kw_only=True)
class CompressionReport:
    """What was measured of all candidates in one run, the model in float32 first.

    `print(report)` shows the table; `save` writes it with the JSON and the picture.

    Args:
        candidates: The candidates.
        kept: The name of the one that was kept. Default: none was chosen.
        rule: The rule as plain values. Default: there was none.
        objective: The metric that the picture shows. Default: none was measured.
    """

    candidates: Sequence[CandidateReport]
    kept: str | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    objective: str | None = None

    def __getitem__(self, name: str) -> CandidateReport:
        """The candidate of a name."""
        for one in self.candidates:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.candidates)
        raise InputError(f"The report has the candidates {names}. Received: {name!r}.")

    @property
    def metrics(self) -> list[str]:
        """The metrics that were measured of any candidate, in order."""
        return list(dict.fromkeys(name for candidate in self.candidates for name in candidate.metrics))

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=WIDTH, highlight=False, color_system=None, no_color=True)
        with console.capture() as capture:
            console.print(self.to_table())
        return capture.get()

    def to_table(self) -> Any:
        """A table for rich's console; what was kept has an arrow."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("")
        table.add_column("candidate")
        with_weights = any(one.weights for one in self.candidates)
        for name in (*self.metrics, *COLUMNS, *(WEIGHT_COLUMNS if with_weights else ())):
            table.add_column(name, justify="right")
        for one in self.candidates:
            cells = [*(_show(one.metrics.get(name), 4) for name in self.metrics), *_to_cells(one)]
            cells += [*(_to_weight_cells(one) if with_weights else ())]
            table.add_row("→" if one.name == self.kept else "", one.name, *cells)
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kept": self.kept,
            "objective": self.objective,
            "rule": dict(self.rule),
            "candidates": [one.to_dict() for one in self.candidates],
        }

    def save(self, path: str | Path) -> Path:
        """Writes `report.json`, `report.txt` (the table) and, where the objective was measured, `pareto.png`.

        Args:
            path: A folder; made if it is not there.

        Returns:
            The folder.

        Raises:
            TfchainError: if it cannot be written.
        """
        from tfchain.optimization.picture import draw_pareto

        measured = self.objective and all(self.objective in one.metrics for one in self.candidates)
        return save_report(path, self.to_dict(), str(self), {"pareto.png": draw_pareto(self)} if measured else {})

    @classmethod
    def load(cls, path: str | Path) -> "CompressionReport":
        """Reads the `report.json` of a folder that `save` wrote.

        Raises:
            InputError: if there is none, or it is damaged.
        """

        def make(values: dict[str, Any]) -> CompressionReport:
            for one in values["candidates"]:
                one.pop("size_bytes")
            candidates = tuple(CandidateReport(**one) for one in values.pop("candidates"))
            return cls(candidates=candidates, **values)

        return load_report(path, make)


def _to_cells(one: CandidateReport) -> list[str]:
    return [
        _show(one.size_bytes / 1e6 if one.files else None, 1),
        _show(None if one.index_bytes is None else one.index_bytes / 1e6, 2),
        _show(one.peak_memory_mb, 0),
        _show(one.query_median_ms, 2),
        _show(one.query_p95_ms, 2),
        _show(one.texts_per_second, 1),
    ]


def _to_weight_cells(one: CandidateReport) -> list[str]:
    if not one.weights:
        return [_show(None, 1)] * len(WEIGHT_COLUMNS)
    return [_show(100 * one.weights["sparsity"], 1), _show(one.weights["zipped_bytes"] / 1e6, 1)]


def _show(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
