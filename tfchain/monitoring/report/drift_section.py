"""The part of the report about drift: the result of `tfchain monitor drift --json`, shown."""

import html
from collections.abc import Mapping
from typing import Any

from tfchain.monitoring.report.charts import write_number


def write_drift(drift: Mapping[str, Any]) -> str:
    """Returns the section; fields that are not there, or are not what they should be, are left out.

    Args:
        drift: The result.
    """
    causes = [str(cause) for cause in _list(drift.get("causes"))]
    verdict = f"Drift of {', '.join(causes)}." if causes else "No drift."
    kind = "bad" if causes else "dim"
    parts = [f'<h2>Drift</h2><p class="{kind}">{html.escape(verdict)}</p>']
    for name in ("queries", "documents"):
        stream = drift.get(name)
        if isinstance(stream, dict):
            parts.append(_write_stream(name, stream))
    return "".join(parts)


def _write_stream(name: str, stream: Mapping[str, Any]) -> str:
    values, thresholds = _dict(stream.get("values")), _dict(stream.get("thresholds"))
    rows = "".join(
        f'<tr><td class="text">{html.escape(str(statistic))}</td><td class="number">{_number(value)}</td>'
        f'<td class="number">{_number(thresholds.get(statistic))}</td></tr>'
        for statistic, value in values.items()
    )
    heads = f'<th>{html.escape(name)}</th><th class="number">now</th><th class="number">without drift below</th>'
    parts = [f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"] if rows else []
    newcomers = _dict(stream.get("newcomers"))
    clusters = [_dict(cluster) for cluster in _list(newcomers.get("clusters"))]
    if clusters:
        share = newcomers.get("share")
        written = f"{100 * share:.0f}%" if isinstance(share, int | float) else "Some"
        parts.append(f"<p>{written} of the latest {html.escape(name)} are new:</p><ul>")
        for cluster in clusters:
            examples = " · ".join(str(text)[:80] for text in _list(cluster.get("examples")))
            parts.append(f"<li>{_number(cluster.get('size'))}: {html.escape(examples)}</li>")
        parts.append("</ul>")
    return "".join(parts)


def _number(value: Any) -> str:
    return write_number(value) if isinstance(value, int | float) else "–"


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
