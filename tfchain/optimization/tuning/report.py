"""The report of a search: every trial with its measurements, as values, a table, JSON, and a picture."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError
from tfchain.optimization.report_folder import load_report, save_report
from tfchain.optimization.tuning.importance import measure_importance

Status = Literal["completed", "infeasible", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """The values and measurements of one trial.

    Args:
        id: The trial's number, as KerasTuner writes it.
        values: Hyperparameters by name.
        status: `completed`; `infeasible`: it broke a limit, and was not trained; `failed`: its values could not be
            trained.
        metrics: Metric → value, at the epoch with the best objective.
        epochs: The objective after each epoch.
        latency_ms: Median time of one query from text to vector; None if not measured.
        size_mb: Millions of bytes of the files that a server of the model needs; None if not measured.
        seconds: How long the trial took.
        message: Why it is infeasible or failed.
    """

    id: str
    values: Mapping[str, Any]
    status: Status = "completed"
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: Sequence[float] = ()
    latency_ms: float | None = None
    size_mb: float | None = None
    seconds: float = 0.0
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**dataclasses.asdict(self), "epochs": list(self.epochs)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialReport":
        """Makes a report from the result of `to_dict`."""
        return cls(**{**values, "epochs": tuple(values["epochs"])})


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """All trials of a search.

    `print(report)` shows the table; `save` writes it with the JSON and the picture.

    Args:
        trials: The trials, in the order in which they were begun.
        objective: The metric to optimize.
        search: The values of `Search`, whose `mode` says whether higher is better.
    """

    trials: Sequence[TrialReport]
    objective: str
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> TrialReport:
        """The completed trial with the best objective, the earlier of equal ones.

        Raises:
            InputError: if no trial was completed; the message says why.
        """
        completed = self.completed
        if not completed:
            raise InputError(self._explain())
        return max(completed, key=lambda trial: self.sign * trial.metrics[self.objective])

    @property
    def sign(self) -> int:
        """1 if a higher objective is better, -1 if a lower one is."""
        return -1 if self.search.get("mode") == "min" else 1

    @property
    def completed(self) -> list[TrialReport]:
        """The trials that were trained and measured."""
        return [trial for trial in self.trials if trial.status == "completed"]

    @property
    def names(self) -> list[str]:
        """The names of the hyperparameters of all trials."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.values))

    @property
    def importance(self) -> dict[str, float]:
        """Hyperparameter → share of the objective's variance that it explains: see `measure_importance`."""
        completed = self.completed
        scores = [trial.metrics[self.objective] for trial in completed]
        return {
            name: measure_importance([trial.values.get(name) for trial in completed], scores) for name in self.names
        }

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=max(120, 40 + 14 * len(self.names)), highlight=False, color_system=None, no_color=True)
        with console.capture() as capture:
            console.print(self.to_table())
        return capture.get()

    def to_table(self) -> Any:
        """A table for rich's console; an arrow marks the best trial; the first failure's reason is below it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        measured = [
            (title, values, digits)
            for title, values, digits in (
                ("query ms", [trial.latency_ms for trial in self.trials], 2),
                ("MB", [trial.size_mb for trial in self.trials], 1),
            )
            if any(value is not None for value in values)
        ]
        best = self.best.id if self.completed else None
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        table.add_column("trial", justify="right")
        table.add_column(self.objective, justify="right")
        for name in [*self.names, *(title for title, _, _ in measured), "s"]:
            table.add_column(name, justify="right")
        table.add_column("")
        for number, trial in enumerate(self.trials):
            table.add_row(
                "→" if trial.id == best else "",
                trial.id,
                _show(trial.metrics.get(self.objective), 4),
                *(to_word(trial.values.get(name)) for name in self.names),
                *(_show(values[number], digits) for _, values, digits in measured),
                _show(trial.seconds, 0),
                "" if trial.status == "completed" else trial.status,
            )
        failed = [trial for trial in self.trials if trial.status == "failed"]
        if not failed:
            return table
        return Group(table, Text(f"{len(failed)} failed, trial {failed[0].id} first: {failed[0].message}"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "objective": self.objective,
            "best": self.best.id if self.completed else None,
            "search": dict(self.search),
            "importance": self.importance,
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def save(self, path: str | Path) -> Path:
        """Writes `report.json`, `report.txt` (the table) and, if a trial was completed, `tuning.png`.

        Args:
            path: A folder; created if missing.

        Returns:
            The folder.

        Raises:
            TfchainError: if it cannot be written.
        """
        from tfchain.optimization.tuning.picture import draw_trials

        pictures = {"tuning.png": draw_trials(self)} if self.completed else {}
        return save_report(path, self.to_dict(), str(self), pictures)

    @classmethod
    def load(cls, path: str | Path) -> "TuningReport":
        """Reads the `report.json` of a folder that `save` wrote.

        Raises:
            InputError: if the file is missing or damaged.
        """

        def make(values: dict[str, Any]) -> TuningReport:
            trials = tuple(TrialReport.from_dict(trial) for trial in values["trials"])
            return cls(trials=trials, objective=values["objective"], search=values["search"])

        return load_report(path, make)

    def _explain(self) -> str:
        infeasible = [trial for trial in self.trials if trial.status == "infeasible"]
        failed = [trial for trial in self.trials if trial.status == "failed"]
        if not self.trials:
            return "The search has no trial. Call `tune` with a space of at least one value."
        if not failed:
            limits = {name: self.search.get(name) for name in ("max_latency_ms", "max_size_mb")}
            given = ", ".join(f"{name}={value:g}" for name, value in limits.items() if value is not None)
            least = [
                f"{min(values):.3g} {unit}"
                for unit, values in (
                    ("ms", [trial.latency_ms for trial in infeasible if trial.latency_ms is not None]),
                    ("MB", [trial.size_mb for trial in infeasible if trial.size_mb is not None]),
                )
                if values
            ]
            return (
                f"All {len(infeasible)} trials broke a limit. Received: {given}; the least that was measured is "
                f"{' and '.join(least)}. Raise the limit, or let the space make the model smaller (shrink.layers)."
            )
        return (
            f"No trial could be trained: {len(failed)} failed, {len(infeasible)} broke a limit. The first failure: "
            f"{failed[0].message}"
        )


def to_word(value: Any) -> str:
    """A short form of a hyperparameter's value."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def _show(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
