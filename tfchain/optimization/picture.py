"""The picture of a report: the objective against size and speed, with the Pareto front; the door to matplotlib."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfchain.optimization.report import CompressionReport

PANEL_INCHES = (4.2, 3.6)
DOTS_PER_INCH = 120


def draw_pareto(report: "CompressionReport") -> bytes:
    """Draws the objective against the size on disk, the time of one query and the texts a second, as far as measured.

    Args:
        report: One with an objective that was measured of all candidates.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.figure import Figure  # not pyplot, which holds its figures in the process and wants a screen

    candidates = report.candidates
    objective = report.objective or ""
    values = [one.metrics[objective] for one in candidates]
    sign = -1 if report.rule.get("lower_is_better") else 1
    panels: list[tuple[str, list[float], bool]] = [("MB on disk", [one.size_bytes / 1e6 for one in candidates], False)]
    query = [one.query_median_ms for one in candidates if one.query_median_ms is not None]
    bulk = [one.texts_per_second for one in candidates if one.texts_per_second is not None]
    if len(query) == len(candidates):
        panels.append(("ms for one query (median)", query, False))
    if len(bulk) == len(candidates):
        panels.append(("texts a second", bulk, True))

    figure = Figure(figsize=(PANEL_INCHES[0] * len(panels), PANEL_INCHES[1]), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (label, costs, more_is_better) in zip(axes, panels, strict=True):
        front = find_front([-cost for cost in costs] if more_is_better else costs, [sign * value for value in values])
        axis.plot([costs[one] for one in front], [values[one] for one in front], color="tab:blue", linewidth=1)
        for number, one in enumerate(candidates):
            color = "tab:blue" if number in front else "tab:gray"
            marker = "*" if one.name == report.kept else "o"
            axis.scatter(costs[number], values[number], color=color, marker=marker, s=90 if marker == "*" else 30)
            axis.annotate(one.name, (costs[number], values[number]), xytext=(5, 5), textcoords="offset points")
        axis.set_xlabel(label)
        axis.margins(0.2)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(objective)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def find_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The Pareto front: where no other point costs no more and is worth no less, and differs; cheapest first.

    Args:
        costs: Less is better.
        values: More is better.

    Returns:
        Places in the lists.
    """
    points = list(zip(costs, values, strict=True))
    front = [
        number
        for number, (cost, value) in enumerate(points)
        if not any(other != (cost, value) and other[0] <= cost and other[1] >= value for other in points)
    ]
    return sorted(front, key=lambda number: points[number])
