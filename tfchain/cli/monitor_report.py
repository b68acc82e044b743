"""`tfchain monitor report`: a query log as a page with tables and charts."""

import json
import time
from pathlib import Path
from typing import Any

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

FILE = click.Path(path_type=Path)


@click.command("report", short_help="Make a page of a query log.")
@click.option("--query-log", required=True, metavar="DIR", type=FILE, help="The server's --query_log_dir.")
@click.option("--out", required=True, metavar="FILE", type=FILE, help="The page; replaced if it exists.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="The last days alone.  [default: all]")
@click.option("--drift", metavar="FILE", type=FILE, help="What `tfchain monitor drift --json` printed.")
@click.option("--title", default="What was asked", show_default=True, help="The page's title.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Queries in a table.")
@output_options
def report_command(
    query_log: Path, out: Path, days: float | None, drift: Path | None, title: str, top: int, as_json: bool
) -> None:
    """Show what a query log says: traffic, latency, the most asked queries, those without a good answer, and clicks.

    The page is one file that loads nothing else. Servers may go on writing to the log.

    \b
    Examples:
      tfchain monitor report --query-log /var/log/tfchain/queries --out report.html
      tfchain monitor report --query-log queries --days 7 --drift drift.json --out week.html
    """
    from tfchain.monitoring.log.log_reader import LogReader
    from tfchain.monitoring.report.page import write_report
    from tfchain.monitoring.report.traffic import find_quantiles, measure_traffic
    from tfchain.monitoring.scrape.server_log import read_server_log

    found = None if drift is None else read_drift(drift)
    since = float("-inf") if days is None else time.time() - days * 86400
    with waiting("reading the log"):
        traffic = measure_traffic(LogReader(query_log, since=since))
        traffic.servers = list(read_server_log(query_log, since=since))
        write_report(out, traffic, title=title, drift=found, number=top)
    middle, high = find_quantiles(traffic.latencies, (0.5, 0.99))
    values = {
        "report": str(out),
        "queries": traffic.queries,
        "events": traffic.events,
        "clicked": traffic.clicked_queries,
        "without_good_answer": len(traffic.unanswered_queries(traffic.queries)),
        "p50_ms": None if middle != middle else round(middle, 3),
        "p99_ms": None if high != high else round(high, 3),
        "unreadable": traffic.broken or None,
    }
    if as_json:
        print_json(values)
    else:
        print_values(values)


def read_drift(path: Path) -> dict[str, Any]:
    """Reads the result of `tfchain monitor drift --json`.

    Raises:
        InputError: if the file is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"--drift must be what `tfchain monitor drift --json` printed. {path}: {error}.") from error
    if not isinstance(value, dict):
        raise InputError(f"--drift must be what `tfchain monitor drift --json` printed. {path} has no JSON object.")
    return value
