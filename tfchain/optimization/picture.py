"""The picture of a report: the objective against size and speed, with the Pareto front; the door to matplotlib."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfchain.optimization.report import CompressionReport

PANEL_INCHES = (4.2, 3.6)
DOTS_PER_INCH = 120


def draw_pareto(report: "CompressionReport") -> bytes:
    """Draws the objective against size on disk, time per query and texts per second, where these were measured.

    Args:
        report: A report whose objective was measured for all candidates.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.figure import Figure  # not pyplot, which keeps its figures in the process and needs a screen

    candidates = report.candidates
    objective = report.objective or ""
    values = [candidate.metrics[objective] for candidate in candidates]
    sign = -1 if report.rule.get("lower_is_better") else 1
    panels: list[tuple[str, list[float], bool]] = [
        ("MB on disk", [candidate.size_bytes / 1e6 for candidate in candidates], False)
    ]
    query = [candidate.query_median_ms for candidate in candidates if candidate.query_median_ms is not None]
    bulk = [candidate.texts_per_second for candidate in candidates if candidate.texts_per_second is not None]
    if len(query) == len(candidates):
        panels.append(("ms for one query (median)", query, False))
    if len(bulk) == len(candidates):
        panels.append(("texts a second", bulk, True))

    figure = Figure(figsize=(PANEL_INCHES[0] * len(panels), PANEL_INCHES[1]), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (label, costs, more_is_better) in zip(axes, panels, strict=True):
        front = find_front([-cost for cost in costs] if more_is_better else costs, [sign * value for value in values])
        axis.plot(
            [costs[number] for number in front], [values[number] for number in front], color="tab:blue", linewidth=1
        )
        for number, candidate in enumerate(candidates):
            color = "tab:blue" if number in front else "tab:gray"
            marker = "*" if candidate.name == report.kept else "o"
            axis.scatter(costs[number], values[number], color=color, marker=marker, s=90 if marker == "*" else 30)
            axis.annotate(candidate.name, (costs[number], values[number]), xytext=(5, 5), textcoords="offset points")
        axis.set_xlabel(label)
        axis.margins(0.2)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(objective)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def find_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The Pareto front, cheapest first: points that no different point matches or beats in both cost and value.

    Args:
        costs: Less is better.
        values: More is better.

    Returns:
        Indices into the lists.
    """
    points = list(zip(costs, values, strict=True))
    front = [
        number
        for number, (cost, value) in enumerate(points)
        if not any(other != (cost, value) and other[0] <= cost and other[1] >= value for other in points)
    ]
    return sorted(front, key=lambda number: points[number])
