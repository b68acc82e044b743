"""`tfchain monitor dashboard`: a Grafana dashboard and Prometheus' alert rules as files."""

from pathlib import Path

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import output_options

SHARE = click.FloatRange(0, 1)


@click.command("dashboard", short_help="Write a Grafana dashboard and alert rules.")
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The folder.")
@click.option("--title", default="tfchain", show_default=True, help="The dashboard's title.")
@click.option(
    "--p99-ms",
    type=click.FloatRange(min=0, min_open=True),
    default=500.0,
    show_default=True,
    help="Latency to alert at.",
)
@click.option("--error-share", type=SHARE, default=0.01, show_default=True, help="Share of failures to alert at.")
@click.option("--empty-share", type=SHARE, default=0.05, show_default=True, help="Share of empty answers to alert at.")
@click.option("--force", is_flag=True, help="Replace files that differ.")
@output_options
def dashboard_command(
    out: Path, title: str, p99_ms: float, error_share: float, empty_share: float, force: bool, as_json: bool
) -> None:
    """Write grafana-dashboard.json, alerts.yml and alerts-test.yml.

    The first row works beside a stock TensorFlow Serving, too; the others ask for tfchain's own metrics.

    \b
    Examples:
      tfchain monitor dashboard --out monitoring
      promtool check rules monitoring/alerts.yml && promtool test rules monitoring/alerts-test.yml
    """
    from tfchain.monitoring.dashboards.alerts import Limits
    from tfchain.monitoring.dashboards.files import write_dashboards

    limits = Limits(p99_ms=p99_ms, error_share=error_share, empty_share=empty_share)
    files = write_dashboards(out, limits=limits, title=title, force=force)
    if as_json:
        print_json({"files": list(map(str, files))})
    else:
        for file in files:
            click.echo(file)
