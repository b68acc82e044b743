"""`tfchain monitor`: watches a server by its metrics; its subcommands work on what was logged."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfchain.cli.monitor_canary import canary_command
from tfchain.cli.monitor_dashboard import dashboard_command
from tfchain.cli.monitor_drift import drift_command
from tfchain.cli.monitor_pairs import pairs_command
from tfchain.cli.monitor_reference import reference_command
from tfchain.cli.monitor_report import report_command
from tfchain.cli.output import print_json
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.monitoring.scrape.rates import Rates


@click.group("monitor", invoke_without_command=True, short_help="Watch a server, its queries and its feedback.")
@click.option("--scrape", metavar="URL", help="A server, or its page of metrics.")
@click.option(
    "--query-log",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep the readings there, beside queries if a server or an application logs any, for the report.",
)
@click.option("--every", type=click.FloatRange(min=0.1), default=15.0, show_default=True, help="Seconds between two.")
@click.option("--times", type=click.IntRange(min=0), default=0, help="How many readings.  [default: until Ctrl-C]")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds that a reading may take."
)
@click.option("--api-key", envvar="TFCHAIN_API_KEY", default="", help="The server's key, or TFCHAIN_API_KEY.")
@output_options
@click.pass_context
def monitor_command(
    context: click.Context,
    scrape: str | None,
    query_log: Path | None,
    every: float,
    times: int,
    timeout: float,
    api_key: str,
    as_json: bool,
) -> None:
    """Watch a server of any make by the metrics that it shows to Prometheus.

    A line per model and reading: requests a second, errors, and latencies, from TensorFlow Serving's own metrics. A
    stock TensorFlow Serving shows them with --monitoring_config_file. The first line is all since the server's start.

    \b
    Examples:
      tfchain monitor --scrape http://localhost:8501
      tfchain monitor --scrape http://localhost:8501 --times 1 --json
      tfchain monitor --scrape http://localhost:8501 --query-log queries
    """
    if context.invoked_subcommand is not None:
        return
    if scrape is None:
        raise InputError(
            "`tfchain monitor` needs a server or a subcommand. Received: neither. Name a server, such as "
            "`--scrape http://localhost:8501`; `tfchain monitor --help` lists the subcommands."
        )
    from tfchain.monitoring.scrape.rates import measure_rates
    from tfchain.monitoring.scrape.scraper import Scraper
    from tfchain.monitoring.scrape.server_log import ServerLog

    scraper = Scraper(scrape, timeout, api_key)
    log = None if query_log is None else ServerLog(query_log, scraper.page)
    before, start, reading = None, time.monotonic(), 0
    with contextlib.suppress(KeyboardInterrupt), log or contextlib.nullcontext():
        while True:
            now, moment = scraper.scrape(), time.monotonic()
            found = measure_rates(now, before, seconds=moment - start if before is not None else 0.0)
            for rates in found:
                show_rates(rates, as_json)
            if log is not None:
                log.add(found)
            before, start, reading = now, moment, reading + 1
            if reading == times:
                return
            time.sleep(max(start + every - time.monotonic(), 0))


def show_rates(rates: "Rates", as_json: bool) -> None:
    """Prints a model's traffic in a line."""
    if as_json:
        print_json({"time": round(time.time(), 3), **rates.to_dict()})
        return
    traffic = f"{rates.per_second:8.1f}/s" if rates.seconds else f"{rates.requests:8,} since the start"
    click.echo(
        f"{time.strftime('%H:%M:%S')}  {rates.model}  {traffic}  {rates.errors:,} errors  "
        f"p50 {rates.p50_ms:.2f} ms  p99 {rates.p99_ms:.2f} ms  (model {rates.run_p99_ms:.2f} ms)"
    )


for command in (
    *(report_command, pairs_command, dashboard_command),
    *(canary_command, drift_command, reference_command),
):
    monitor_command.add_command(command)
