"""The page of a release report: one HTML file without scripts or anything from elsewhere."""

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfchain.deployment.releases.comparison import Comparison
    from tfchain.deployment.releases.report import Check, ReleaseReport

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --dim: #777; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
.passed { color: var(--good); } .failed { color: var(--bad); } .skipped { color: var(--dim); }
code { font-size: .9em; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; }
"""


def make_page(report: "ReleaseReport") -> str:
    """Returns a report as an HTML page."""
    verdict = "let through" if report.passed else "refused"
    title = f"{report.model} version {report.version}: {verdict}"
    facts: dict[str, Any] = {
        "compared with": "no live version" if report.live is None else f"version {report.live}, live",
        "checked at": report.at,
        "measured on": report.measured_on,
        "contents (SHA-256)": report.contents,
        "fingerprint of the model": report.fingerprint or "unknown",
    }
    parts = [
        f"<h1>{escape(report.model)} version {report.version}: "
        f'<span class="{"passed" if report.passed else "failed"}">{verdict}</span></h1>',
        _make_table(facts),
        "<h2>Checks</h2>",
        "<table>" + "".join(map(_make_check, report.checks)) + "</table>",
    ]
    if report.comparison is not None:
        margin = float(report.limits["margin"]) * abs(report.comparison.live)
        parts += ["<h2>The metric</h2>", _draw_interval(report.comparison, margin), _describe(report.comparison)]
    limits = {name.replace("_", " "): value for name, value in report.limits.items() if value is not None}
    parts += ["<h2>Limits</h2>", _make_table(limits)]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _make_check(check: "Check") -> str:
    cells = f'<td class="{check.outcome}">{check.outcome}</td><td>{escape(check.message)}</td>'
    return f"<tr><th>{escape(check.name)}</th>{cells}</tr>"


def _make_table(values: dict[str, Any]) -> str:
    rows = (
        f"<tr><th>{escape(name)}</th><td><code>{escape(str(value))}</code></td></tr>" for name, value in values.items()
    )
    return "<table>" + "".join(rows) + "</table>"


def _describe(comparison: "Comparison") -> str:
    return _make_table(
        {
            "metric": f"{comparison.metric}, {comparison.num_items} items, of which {comparison.num_changed} changed",
            "live": f"{comparison.live:.4f}",
            "new": f"{comparison.new:.4f}",
            "gain": f"{comparison.gain:+.4f}, {2 * comparison.level - 1:.0%} interval {comparison.low:+.4f} to "
            f"{comparison.high:+.4f}",
            "p (both equally good)": f"{comparison.p_value:.4f}, paired randomization test, two-sided",
            "p (not worse)": f"{comparison.p_worse:.4f}, one-sided",
            "smallest loss that shows": f"{comparison.detectable:.4f}, with a probability of 80 %",
        }
    )


def _draw_interval(comparison: "Comparison", margin: float) -> str:
    """Draws the gain's interval on a line, with zero and the margin."""
    low, high = min(comparison.low, -margin, 0.0), max(comparison.high, 0.0)
    room = 0.1 * (high - low or 1.0)
    start, span = low - room, high - low + 2 * room

    def place(value: float) -> float:
        return round(20 + 560 * (value - start) / span, 1)

    left, right, middle = place(comparison.low), place(comparison.high), place(comparison.gain)
    marks = "".join(
        f'<line x1="{place(at)}" x2="{place(at)}" y1="12" y2="58" stroke="{colour}" stroke-dasharray="{dash}"/>'
        f'<text x="{place(at)}" y="74" font-size="11" text-anchor="middle" fill="{colour}">{name}</text>'
        for at, name, colour, dash in ((0.0, "equal", "#888", "0"), (-margin, "margin", "#cf222e", "4 3"))
    )
    return (
        '<svg viewBox="0 0 600 80" role="img" aria-label="The gain with its interval, zero and the margin">'
        f'{marks}<line x1="{left}" x2="{right}" y1="35" y2="35" stroke="#0969da" stroke-width="3"/>'
        f'<circle cx="{middle}" cy="35" r="5" fill="#0969da"/></svg>'
    )
