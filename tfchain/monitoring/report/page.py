"""The report as one HTML page: it loads nothing, runs nothing, and shows queries as text, whatever is in them."""

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_file
from tfchain.monitoring.report.charts import draw_bars, draw_histogram, draw_lines, write_number
from tfchain.monitoring.report.drift_section import write_drift
from tfchain.monitoring.report.server_section import write_servers
from tfchain.monitoring.report.style import STYLE
from tfchain.monitoring.report.traffic import Traffic, find_quantiles

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_LONGEST_TEXT = 160


def write_report(
    path: Path | str, traffic: Traffic, *, title: str, drift: Mapping[str, Any] | None = None, number: int = 20
) -> Path:
    """Writes the page.

    Args:
        path: The file; replaced if it exists.
        traffic: The numbers.
        title: The page's title.
        drift: The result of `tfchain monitor drift --json`. Default: none.
        number: The queries in a table. Default: 20.
    """
    return write_file(path, render_report(traffic, title=title, drift=drift, number=number))


def render_report(traffic: Traffic, *, title: str, drift: Mapping[str, Any] | None = None, number: int = 20) -> str:
    """Returns the page; the arguments are those of `write_report`."""
    name = html.escape(title)
    sections = [_write_facts(traffic), _write_charts(traffic), *_write_queries(traffic, number)]
    if drift is not None:
        sections.append(write_drift(drift))
    sections += [_write_feedback(traffic), _write_models(traffic), write_servers(traffic.servers)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        f'<p class="dim">{_write_span(traffic)}</p>\n' + "\n".join(filter(None, sections)) + "\n</body>\n</html>\n"
    )


def _write_span(traffic: Traffic) -> str:
    if not traffic.queries:
        return "No queries were logged in this time."
    broken = f" {traffic.broken:,} records could not be read." if traffic.broken else ""
    return f"From {_write_time(traffic.start)} to {_write_time(traffic.end)}, UTC.{broken}"


def _write_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _write_facts(traffic: Traffic) -> str:
    middle, high = find_quantiles(traffic.latencies, (0.5, 0.99))
    empty = sum(one.empty for one in traffic.statistics.values())
    share = traffic.clicked_queries / traffic.asked_with_feedback if traffic.asked_with_feedback else float("nan")
    facts = [
        ("queries", write_number(traffic.queries)),
        ("different queries", write_number(len(traffic.statistics))),
        ("clients", write_number(traffic.clients)),
        ("median latency", f"{write_number(middle)} ms"),
        ("99th percentile", f"{write_number(high)} ms"),
        ("without a hit", _percent(empty / traffic.queries if traffic.queries else float("nan"))),
        ("with a click", _percent(share)),
        ("events", write_number(traffic.events)),
        ("unknown tokens", _percent(traffic.unknown_share)),
    ]
    boxes = "".join(f'<div class="fact"><b>{value}</b><span class="dim">{name}</span></div>' for name, value in facts)
    return f'<div class="facts">{boxes}</div>'


def _write_charts(traffic: Traffic) -> str:
    if not traffic.queries:
        return ""
    is_long = traffic.end - traffic.start > 2 * 86400
    form = "%m-%d" if is_long else "%H:%M"
    labels = [time.strftime(form, time.gmtime(bucket.start)) for bucket in traffic.buckets]
    lines = [
        ("median", [bucket.p50_ms for bucket in traffic.buckets]),
        ("99 of 100", [bucket.p99_ms for bucket in traffic.buckets]),
    ]
    step = _write_step(traffic.bucket_seconds)
    charts = [
        (
            f"Queries {step}",
            draw_bars(labels, [bucket.queries for bucket in traffic.buckets], description=f"Queries {step}"),
        ),
        (f"Latency {step}", draw_lines(labels, lines, description=f"Latency {step}, in milliseconds", unit=" ms")),
    ]
    places = [place for place, shown in enumerate(traffic.shown) if shown]
    if sum(traffic.clicked):
        rates = [100 * traffic.clicked[place] / traffic.shown[place] for place in places]
        text = "Clicks by place, of 100 times shown"
        charts.append((text, draw_bars([str(place + 1) for place in places], rates, description=text, unit="")))
    if traffic.tokens:
        charts.append(("Length in tokens", draw_histogram(traffic.tokens, description="Length of queries in tokens")))
    if traffic.best_scores:
        text = "Score of the best hit or label"
        charts.append((text, draw_histogram(traffic.best_scores, description=text)))
    shown = "".join(f'<div class="chart"><h3>{name}</h3>{chart}</div>' for name, chart in charts)
    return f'<h2>Over time</h2><div class="charts">{shown}</div>'


def _write_queries(traffic: Traffic, number: int) -> list[str]:
    if not traffic.queries:
        return []
    top = [
        (one.text, one.asked, _percent(one.clicked / one.asked), one.mean_score) for one in traffic.top_queries(number)
    ]
    unanswered = traffic.unanswered_queries(number)
    bad = [(one.text, one.asked, times, reason, one.mean_score) for one, times, reason in unanswered]
    sections = ["<h2>Most asked</h2>" + write_table(("query", "asked", "with a click", "mean best score"), top)]
    heads = ("query", "asked", "times", "why", "mean best score")
    shown = write_table(heads, bad) if bad else '<p class="dim">None.</p>'
    return [*sections, f"<h2>Without a good answer</h2>{shown}"]


def _write_feedback(traffic: Traffic) -> str:
    if not traffic.actions:
        return ""
    return "<h2>Feedback</h2>" + write_table(("action", "events"), traffic.actions.most_common(30))


def _write_models(traffic: Traffic) -> str:
    rows = [
        (model or "–", version, task or "–", number)
        for (model, version, task), number in traffic.models.most_common(30)
    ]
    return "<h2>Models</h2>" + write_table(("model", "version", "task", "queries"), rows) if rows else ""


def write_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Writes a table: texts to the left, numbers to the right."""
    written = [[(_is_number(cell), _write_cell(cell)) for cell in row] for row in rows]
    kinds = [is_number for is_number, _ in written[0]] if written else [False] * len(heads)
    head = "".join(
        f'<th class="{"number" if is_number else "text"}">{html.escape(name)}</th>'
        for name, is_number in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"number" if is_number else "text"}">{text}</td>' for is_number, text in row)
        + "</tr>"
        for row in written
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) or (isinstance(cell, str) and cell[-1:] in ("%", "–") and len(cell) < 8)


def _write_cell(cell: Any) -> str:
    if isinstance(cell, int | float):
        return write_number(cell)
    text = str(cell)
    return html.escape(text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…")


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}%"


def _write_step(seconds: float) -> str:
    words = {60: "a minute", 3600: "an hour", 86400: "a day", 7 * 86400: "a week"}
    if seconds in words:
        return words[int(seconds)]
    hours = seconds / 3600
    return (
        f"in {seconds / 60:.0f} minutes"
        if hours < 1
        else f"in {hours:.0f} hours"
        if hours < 24
        else f"in {hours / 24:.0f} days"
    )
