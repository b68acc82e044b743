"""The part of the report about servers: what `tfchain monitor --scrape` has read of their metrics."""

import html
import math
import time
from collections.abc import Sequence

from tfchain.monitoring.report.charts import draw_lines
from tfchain.monitoring.scrape.rates import Rates

_MOST_POINTS = 60


def write_servers(readings: Sequence[tuple[float, Rates]]) -> str:
    """Returns the section: requests a second and latency of each model over time; empty without readings.

    Args:
        readings: The readings with their times, in order.
    """
    parts = []
    for model in dict.fromkeys(rates.model for _, rates in readings):
        own = [(moment, rates) for moment, rates in readings if rates.model == model]
        size = -(-len(own) // _MOST_POINTS)
        groups = [own[start : start + size] for start in range(0, len(own), size)]
        labels = [time.strftime("%H:%M", time.gmtime(group[0][0])) for group in groups]
        per_second = [
            sum(rates.requests for _, rates in group) / sum(rates.seconds for _, rates in group) for group in groups
        ]
        failed = [
            sum(rates.errors for _, rates in group) / sum(rates.seconds for _, rates in group) for group in groups
        ]
        high = [max(rates.p99_ms if rates.requests else math.nan for _, rates in group) for group in groups]
        lines = [("all", per_second), ("failed", failed)]
        traffic = draw_lines(labels, lines, description=f"Requests a second to {model}")
        latency = draw_lines(labels, [("99 of 100", high)], description=f"Latency of {model}", unit=" ms")
        for name, chart in (("requests a second", traffic), ("latency", latency)):
            parts.append(f'<div class="chart"><h3>{html.escape(model)}: {name}</h3>{chart}</div>')
    return f'<h2>Servers</h2><div class="charts">{"".join(parts)}</div>' if parts else ""
