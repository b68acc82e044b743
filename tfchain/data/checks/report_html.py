"""A data report as one HTML page: it loads nothing, runs nothing, and shows documents as text, whatever is in them."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfchain.data.checks.finding import Example, Finding
from tfchain.data.checks.plots import percent, plot_counts, plot_lengths, plot_ranks, to_html_text
from tfchain.data.checks.ranking import METHODS

if TYPE_CHECKING:
    from tfchain.data.checks.report import DataReport

VERDICTS = {
    "ok": "Nothing stands out.",
    "look": "Some findings deserve a look.",
    "stop": "Some findings make training or measuring on this data misleading.",
}
STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1d2329; --dim: #5c6670; --line: #d9dee3; --panel: #f6f8fa;
  --bar: #3b7dd8; --ok: #1a7f37; --look: #9a6700; --stop: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --back: #14181c; --text: #e4e8ec; --dim: #9aa5af; --line: #343b43;
  --panel: #1c2228; --bar: #6aa5f8; --ok: #4ac26b; --look: #d4a72c; --stop: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1060px; padding: 24px 20px 60px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
p { margin: 4px 0; } .dim { color: var(--dim); }
table { border-collapse: collapse; } td, th { padding: 3px 14px 3px 0; text-align: left; vertical-align: top; }
th { font-weight: 600; color: var(--dim); } td.number, th.number { text-align: right;
  font-variant-numeric: tabular-nums; }
.badge { display: inline-block; min-width: 44px; text-align: center; border-radius: 10px; padding: 0 9px; color: #fff;
  font-size: 13px; font-weight: 600; } @media (prefers-color-scheme: dark) { .badge { color: #14181c; } }
.badge.ok { background: var(--ok); } .badge.look { background: var(--look); } .badge.stop { background: var(--stop); }
details { border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; }
summary { cursor: pointer; padding: 8px 12px; display: grid; grid-template-columns: 10px 62px 1fr auto; gap: 10px;
  align-items: baseline; list-style: none; } summary::before { content: "▸"; color: var(--dim); }
details[open] > summary::before { content: "▾"; } summary:hover { background: var(--panel); }
summary::-webkit-details-marker { display: none; }
summary .count { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.body { padding: 2px 12px 12px 104px; border-top: 1px solid var(--line); }
.example { background: var(--panel); border-radius: 6px; padding: 6px 10px; margin: 8px 0; overflow-wrap: anywhere; }
.example .ids { font-size: 13px; color: var(--dim); } .example .text { white-space: pre-wrap; margin: 2px 0;
  border-left: 3px solid var(--line); padding-left: 8px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(325px, 1fr)); gap: 16px; }
.plot p { font-size: 13px; } .plot { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.bar { fill: var(--bar); } .axis { stroke: var(--dim); } .grid { stroke: var(--line); stroke-dasharray: 3 3; }
.limit { stroke: var(--stop); stroke-width: 1.5; stroke-dasharray: 4 2; } svg .limit-text { fill: var(--stop); }
@media (max-width: 640px) { .body { padding-left: 12px; } summary { grid-template-columns: 10px 62px 1fr; }
  summary .count { grid-column: 3; text-align: left; } }
"""
# The page needs no scripts, pictures or addresses; should a text slip through unescaped, the browser runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(report: "DataReport") -> str:
    """Returns the page.

    Args:
        report: The report. All texts in it are escaped.
    """
    counts = Counter(finding.severity for finding in report.findings)
    parts = [
        "<h1>Data report</h1>",
        f'<p><span class="badge {report.severity}">{report.severity}</span> {VERDICTS[report.severity]} '
        f'<span class="dim">{counts["stop"]} stop, {counts["look"]} look, {counts["ok"]} ok.</span></p>',
        "<h2>What was checked</h2>",
        render_sets(report),
        "<h2>Findings</h2>",
        *(render_finding(finding) for finding in report.findings if finding.severity != "ok"),
        *render_ok([finding for finding in report.findings if finding.severity == "ok"]),
        *render_plots(report),
        "<h2>How it was checked</h2>",
        render_settings(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Data report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>"
    )


def render_sets(report: "DataReport") -> str:
    """Returns the table of what each set holds."""
    names = list(dict.fromkeys(name for counts in report.sets.values() for name in counts))
    head = "".join(f'<th class="number">{to_html_text(name)}</th>' for name in names)
    rows = "".join(
        f"<tr><td>{to_html_text(name)}</td>"
        + "".join(f'<td class="number">{f"{counts[key]:,}" if key in counts else ""}</td>' for key in names)
        + "</tr>"
        for name, counts in report.sets.items()
    )
    return f"<table><tr><th>set</th>{head}</tr>{rows}</table>"


def render_finding(finding: Finding) -> str:
    """Returns one finding with its examples."""
    note = f'<p class="dim">{to_html_text(finding.note)}</p>' if finding.note else ""
    examples = "".join(map(render_example, finding.examples))
    more = finding.count - len(finding.examples)
    rest = f'<p class="dim">and {more:,} more</p>' if examples and more > 0 else ""
    return (
        f"<details{' open' if finding.severity == 'stop' else ''}><summary>"
        f'<span class="badge {finding.severity}">{finding.severity}</span>'
        f"<span>{to_html_text(finding.title)} <span class=dim>{to_html_text(place_of(finding))}</span></span>"
        f'<span class="count">{to_html_text(count_of(finding))}</span></summary>'
        f'<div class="body">{note}<p>{to_html_text(finding.advice)}</p>{examples}{rest}</div></details>'
    )


def render_example(example: Example) -> str:
    """Returns one example: the ids, the detail and the texts."""
    head = ", ".join(example.ids) + (f" · {example.detail}" if example.detail else "")
    texts = "".join(f'<div class="text">{to_html_text(text)}</div>' for text in example.texts)
    return f'<div class="example"><div class="ids">{to_html_text(head)}</div>{texts}</div>'


def render_ok(findings: list[Finding]) -> Iterator[str]:
    """Yields the checks that found nothing to look at, in one closed list."""
    if not findings:
        return
    rows = "".join(
        f"<tr><td>{to_html_text(finding.title)}</td><td>{to_html_text(place_of(finding))}</td>"
        f'<td class="number">{to_html_text(count_of(finding))}</td></tr>'
        for finding in findings
    )
    yield (
        f'<details><summary><span class="badge ok">ok</span><span>{len(findings)} checks found nothing that stands '
        f'out</span><span></span></summary><div class="body"><table>{rows}</table></div></details>'
    )


def render_plots(report: "DataReport") -> Iterator[str]:
    """Yields the plots: lengths, languages, labels, ranks."""
    plots = []
    for lengths in report.lengths:
        middle, high = lengths.histogram.quantiles["0.5"], lengths.histogram.quantiles["0.95"]
        title = f"Lengths of {lengths.role} in {lengths.set}"
        plots.append((title, f"median {middle:,.0f}, 95 % below {high:,.0f} {lengths.unit}", plot_lengths(lengths)))
    for ranks in report.ranks:
        if ranks.method == "both":
            continue
        title = f"Ranks of {ranks.set}'s positives by {METHODS[ranks.method]}"
        plots.append((title, f"{len(ranks.ranks):,} pairs, {ranks.num_documents:,} documents", plot_ranks(ranks)))
    for languages in report.languages:
        title = f"Languages of {languages.role} in {languages.set}"
        plots.append((title, f"{sum(languages.counts.values()):,} texts", plot_counts(languages.counts, title)))
    for labels in report.labels:
        title = f"Labels in {labels.set}"
        plots.append((title, f"{len(labels.counts):,} labels", plot_counts(labels.counts, title)))
    if plots:
        yield "<h2>Distributions</h2>"
        drawn = (
            f'<div class="plot"><h3>{to_html_text(title)}</h3><p class="dim">{to_html_text(note)}</p>{plot}</div>'
            for title, note, plot in plots
        )
        yield f'<div class="plots">{"".join(drawn)}</div>'


def render_settings(report: "DataReport") -> str:
    """Returns the settings and the times."""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items() if value is not None)
    seconds = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    return f'<p class="dim">{to_html_text(settings)}.</p><p class="dim">Seconds: {to_html_text(seconds)}.</p>'


def place_of(finding: Finding) -> str:
    """Says what is counted, and in which sets."""
    return f"{finding.what} of {' and '.join(finding.sets)}"


def count_of(finding: Finding) -> str:
    """Writes the count, the total and the share."""
    share = f" ({percent(finding.share)})" if finding.count else ""
    return f"{finding.count:,} of {finding.total:,}{share}"
