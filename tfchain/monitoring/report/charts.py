"""Charts as SVG within a page: bars and lines, in the page's own colours, with words for those who cannot see them."""

import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 520, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 24  # on the left, room for `10,000 ms`
_TICKS = 4


def draw_bars(labels: Sequence[str], values: Sequence[float], *, description: str, unit: str = "") -> str:
    """Draws a bar for each value.

    Args:
        labels: A label for each bar; those that have no room are left out.
        values: The values, 0 or more.
        description: What the chart shows, for those who cannot see it.
        unit: What stands behind the numbers of the axis. Default: nothing.
    """
    top = _round_up(max(values, default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(values), 1)
    parts = _draw_axis(top, unit)
    for place, value in enumerate(values):
        height = _to_height(value, top)
        x, y = _LEFT + place * step, HEIGHT - _BOTTOM - height
        title = f"<title>{html.escape(labels[place])}: {write_number(value)}{html.escape(unit)}</title>"
        parts.append(f'<rect class="bar" x="{x + step * 0.1:.1f}" y="{y:.1f}" ')
        parts[-1] += f'width="{step * 0.8:.1f}" height="{height:.1f}">{title}</rect>'
    parts += _draw_labels(labels, step)
    return _wrap(parts, description)


def draw_lines(
    labels: Sequence[str], lines: Sequence[tuple[str, Sequence[float]]], *, description: str, unit: str = ""
) -> str:
    """Draws lines over the same labels, with their names; NaN leaves a gap.

    Args:
        labels: A label for each point.
        lines: Each line's name and values.
        description: What the chart shows, for those who cannot see it.
        unit: What stands behind the numbers of the axis. Default: nothing.
    """
    known = [value for _, values in lines for value in values if value == value]
    top = _round_up(max(known, default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = _draw_axis(top, unit)
    for number, (name, values) in enumerate(lines):
        for run in _split_runs(values):
            points = [
                (_LEFT + (place + 0.5) * step, HEIGHT - _BOTTOM - _to_height(values[place], top)) for place in run
            ]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline class="line line-{number}" points="{path}"/>')
            parts += [f'<circle class="dot line-{number}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points]
        parts.append(f'<text class="name line-{number}" x="{_LEFT + 8 + 90 * number}" y="{_TOP + 10}">')
        parts[-1] += f"{html.escape(name)}</text>"
    parts += _draw_labels(labels, step)
    return _wrap(parts, description)


def draw_histogram(values: Sequence[float], *, description: str, num_bars: int = 24) -> str:
    """Draws how often values of a size occur.

    Args:
        values: The values; NaN does not count.
        description: What the chart shows, for those who cannot see it.
        num_bars: The most bars. Default: 24.
    """
    kept = [value for value in values if value == value]
    low, high = min(kept, default=0.0), max(kept, default=0.0)
    if all(float(value).is_integer() for value in kept):
        width = max(math.ceil((high - low + 1) / num_bars), 1.0)
    else:
        width = (high - low) / num_bars or 1.0
    counts = [0] * (int((high - low) / width) + 1 if kept else 0)
    for value in kept:
        counts[int((value - low) / width)] += 1
    labels = [write_number(low + place * width) for place in range(len(counts))]
    return draw_bars(labels, counts, description=description)


def write_number(value: float) -> str:
    """Writes a number for people; a dash for NaN."""
    if value != value:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _wrap(parts: Sequence[str], description: str) -> str:
    name = html.escape(description)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _draw_axis(top: float, unit: str) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = HEIGHT - _BOTTOM - _to_height(value, top)
        kind = "axis" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        text = f"{write_number(value)}{html.escape(unit)}"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return parts


def _draw_labels(labels: Sequence[str], step: float) -> list[str]:
    """Draws as many labels as have room."""
    longest = max(map(len, labels), default=0)
    every = max(math.ceil((longest * 6.5 + 6) / step), 1) if labels else 1
    y = HEIGHT - 8
    return [
        f'<text x="{_LEFT + (place + 0.5) * step:.1f}" y="{y}" text-anchor="middle">{html.escape(label)}</text>'
        for place, label in enumerate(labels)
        if place % every == 0
    ]


def _to_height(value: float, top: float) -> float:
    return (HEIGHT - _TOP - _BOTTOM) * value / top if top else 0.0


def _round_up(value: float) -> float:
    """Returns the next value that four ticks divide well."""
    if value <= 0 or value != value:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value))


def _split_runs(values: Sequence[float]) -> list[list[int]]:
    """Returns the places of values that follow each other, without those that are NaN."""
    runs: list[list[int]] = [[]]
    for place, value in enumerate(values):
        if value == value:
            runs[-1].append(place)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
