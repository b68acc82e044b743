"""The report of a search: every trial with what was measured, as values, a table, JSON, and a picture."""

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
    """What was tried and measured in one trial.

    Args:
        id: Its number, as KerasTuner writes it.
        values: Hyperparameters by name.
        status: `completed`; `infeasible`: it broke a limit, and was not trained; `failed`: it could not be trained so.
        metrics: Metric → value, at the epoch with the best objective.
        epochs: The objective after each epoch.
        latency_ms: Median time of one query from text to vector; None where it was not measured.
        size_mb: Millions of bytes of the files that a server of the model needs; None where it was not measured.
        seconds: How long the trial took.
        message: Why it is infeasible or has failed.
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
        """Reads what `to_dict` gave."""
        return cls(**{**values, "epochs": tuple(values["epochs"])})


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """All trials of a search.

    `print(report)` shows the table; `save` writes it with the JSON and the picture.

    Args:
        trials: In the order in which they were begun.
        objective: The metric that counts.
        search: The values of `Search`, whose `mode` says whether higher is better.
    """

    trials: Sequence[TrialReport]
    objective: str
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> TrialReport:
        """The completed trial with the best objective, the earlier of equal ones.

        Raises:
            InputError: if no trial was completed; the text says why.
        """
        completed = self.completed
        if not completed:
            raise InputError(self._explain())
        return max(completed, key=lambda trial: self.sign * trial.metrics[self.objective])

    @property
    def sign(self) -> int:
        """1 where a higher objective is better, -1 where a lower one is."""
        return -1 if self.search.get("mode") == "min" else 1

    @property
    def completed(self) -> list[TrialReport]:
        """The trials that were trained and measured."""
        return [one for one in self.trials if one.status == "completed"]

    @property
    def names(self) -> list[str]:
        """The hyperparameters of the trials."""
        return list(dict.fromkeys(name for one in self.trials for name in one.values))

    @property
    def importance(self) -> dict[str, float]:
        """Hyperparameter → the part of the objective's variance that it explains: see `measure_importance`."""
        completed = self.completed
        scores = [one.metrics[self.objective] for one in completed]
        return {name: measure_importance([one.values.get(name) for one in completed], scores) for name in self.names}

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=max(120, 40 + 14 * len(self.names)), highlight=False, color_system=None, no_color=True)
        with console.capture() as capture:
            console.print(self.to_table())
        return capture.get()

    def to_table(self) -> Any:
        """A table for rich's console; the best trial has an arrow, and the first failure's reason stands below."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        measured = [
            (title, values, digits)
            for title, values, digits in (
                ("query ms", [one.latency_ms for one in self.trials], 2),
                ("MB", [one.size_mb for one in self.trials], 1),
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
        for number, one in enumerate(self.trials):
            table.add_row(
                "→" if one.id == best else "",
                one.id,
                _show(one.metrics.get(self.objective), 4),
                *(to_word(one.values.get(name)) for name in self.names),
                *(_show(values[number], digits) for _, values, digits in measured),
                _show(one.seconds, 0),
                "" if one.status == "completed" else one.status,
            )
        failed = [one for one in self.trials if one.status == "failed"]
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
            "trials": [one.to_dict() for one in self.trials],
        }

    def save(self, path: str | Path) -> Path:
        """Writes `report.json`, `report.txt` (the table) and, where a trial was completed, `tuning.png`.

        Args:
            path: A folder; made if it is not there.

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
            InputError: if there is none, or it is damaged.
        """

        def make(values: dict[str, Any]) -> TuningReport:
            trials = tuple(TrialReport.from_dict(one) for one in values["trials"])
            return cls(trials=trials, objective=values["objective"], search=values["search"])

        return load_report(path, make)

    def _explain(self) -> str:
        infeasible = [one for one in self.trials if one.status == "infeasible"]
        failed = [one for one in self.trials if one.status == "failed"]
        if not self.trials:
            return "The search has no trial. Call `tune` with a space of at least one value."
        if not failed:
            limits = {name: self.search.get(name) for name in ("max_latency_ms", "max_size_mb")}
            given = ", ".join(f"{name}={value:g}" for name, value in limits.items() if value is not None)
            least = [
                f"{min(values):.3g} {unit}"
                for unit, values in (
                    ("ms", [one.latency_ms for one in infeasible if one.latency_ms is not None]),
                    ("MB", [one.size_mb for one in infeasible if one.size_mb is not None]),
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
    """A value of a hyperparameter, short."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def _show(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
