"""The picture of a search: trials over time, each hyperparameter's importance, the objective against latency."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.optimization.picture import DOTS_PER_INCH, PANEL_INCHES, find_front

if TYPE_CHECKING:
    from tfchain.optimization.tuning.report import TuningReport

COLORS = {"completed": "tab:blue", "infeasible": "tab:orange", "failed": "tab:red"}


def draw_trials(report: "TuningReport") -> bytes:
    """Draws the objective of the trials in their order, the importances, and the objective against latency.

    The last panel appears only if latency was measured.

    Args:
        report: A report with at least one completed trial.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps its figures in the process and needs a screen

    measured = all(trial.latency_ms is not None for trial in report.completed)
    panels = [_draw_time, _draw_importance, *([_draw_latency] if measured else [])]
    figure = Figure(figsize=(PANEL_INCHES[0] * len(panels), PANEL_INCHES[1]), layout="constrained")
    for axis, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axis, report)
        axis.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def _draw_time(axis: Any, report: "TuningReport") -> None:
    scores = [trial.metrics.get(report.objective, np.nan) for trial in report.trials]
    best_so_far = np.fmax.accumulate(scores) if report.sign > 0 else np.fmin.accumulate(scores)
    axis.step(range(len(scores)), best_so_far, where="post", color="tab:gray", linewidth=1, label="best")
    floor = np.nanmin(scores) if report.sign > 0 else np.nanmax(scores)
    for status, color in COLORS.items():
        found = [number for number, trial in enumerate(report.trials) if trial.status == status]
        if found:
            heights = [scores[number] if status == "completed" else floor for number in found]
            axis.scatter(found, heights, color=color, marker="o" if status == "completed" else "x", label=status)
    best = report.trials.index(report.best)
    axis.scatter(best, scores[best], color=COLORS["completed"], marker="*", s=120)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("trial")
    axis.set_ylabel(report.objective)
    axis.legend(fontsize="small")


def _draw_importance(axis: Any, report: "TuningReport") -> None:
    ranked = sorted(report.importance.items(), key=lambda item: item[1])
    axis.barh([name for name, _ in ranked], [value for _, value in ranked], color="tab:blue")
    axis.set_xlim(0, 1)
    axis.set_xlabel(f"part of the variance of {report.objective}")


def _draw_latency(axis: Any, report: "TuningReport") -> None:
    trials = report.completed
    costs = [float(trial.latency_ms or 0) for trial in trials]
    scores = [trial.metrics[report.objective] for trial in trials]
    front = find_front(costs, [report.sign * score for score in scores])
    axis.plot([costs[number] for number in front], [scores[number] for number in front], color="tab:blue", linewidth=1)
    for number, trial in enumerate(trials):
        axis.scatter(costs[number], scores[number], color="tab:blue" if number in front else "tab:gray", s=30)
        axis.annotate(trial.id, (costs[number], scores[number]), xytext=(5, 5), textcoords="offset points")
    limit = report.search.get("max_latency_ms")
    if limit is not None:
        axis.axvline(limit, color="tab:orange", linestyle="--", linewidth=1)
    axis.margins(0.2)
    axis.set_xlabel("ms for one query (median)")
    axis.set_ylabel(report.objective)
