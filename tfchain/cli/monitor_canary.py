"""`tfchain monitor canary`: puts queries with known answers to a server, once or on a schedule."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, to_words
from tfchain.cli.process import output_options

if TYPE_CHECKING:
    from tfchain.monitoring.canaries.check import CanaryReport

FOUND_SOMETHING = 3  # the exit code of a command that worked, and has bad news


@click.command("canary", short_help="Ask a server questions with known answers.")
@click.argument("url", metavar="URL")
@click.option(
    "--canaries", required=True, metavar="FILE", type=click.Path(path_type=Path), help="A version's folder, or a file."
)
@click.option("--model", default=None, help="The model's name.  [default: the name of the version's base path]")
@click.option("--model-version", type=int, default=None, help="The version to ask.  [default: the latest]")
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=None, help="Seconds between two checks.  [default: one check]"
)
@click.option("--times", type=click.IntRange(min=1), default=None, help="With --every, how many.  [default: no end]")
@click.option("--least-recall", type=float, default=1.0, show_default=True, help="The least mean recall.")
@click.option("--most-ms", type=float, default=None, help="The most that the median answer may take.")
@click.option("--vector-distance", type=float, default=1e-3, show_default=True, help="The most that 1 - cosine may be.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Of a request, seconds."
)
@click.option("--api-key", envvar="TFCHAIN_API_KEY", default=None, help="The server's key, or TFCHAIN_API_KEY.")
@click.option("--ca-file", metavar="PEM", default=None, help="The certificates to trust.")
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write gauges for Prometheus' textfile collector.",
)
@output_options
def canary_command(
    url: str,
    canaries: Path,
    model: str | None,
    model_version: int | None,
    every: float | None,
    times: int | None,
    least_recall: float,
    most_ms: float | None,
    vector_distance: float,
    timeout: float,
    api_key: str | None,
    ca_file: str | None,
    metrics_file: Path | None,
    as_json: bool,
) -> None:
    """Ask the server at URL (http://…, grpc://…) questions with known answers, and compare.

    Any TensorFlow Serving is asked through its own protocols. A wrong tokenizer, weights or prompt show in the vectors,
    stale documents in the scores, and both in the recall. `tfchain monitor reference` writes the canaries.

    \b
    Exit codes:
      0  all is as it should be      1  the server cannot be asked      3  something is wrong; it is said what

    \b
    Examples:
      tfchain monitor canary http://localhost:8501 --canaries saved_models/docs/1
      tfchain monitor canary grpc://localhost:8500 --canaries known.jsonl --model docs --every 60
    """
    from tfchain.chains.monitored_version import connect
    from tfchain.core.errors import InputError, TfchainError
    from tfchain.monitoring.canaries.ask import make_ask
    from tfchain.monitoring.canaries.canary import read_canaries
    from tfchain.monitoring.canaries.check import CanaryLimits, check_canaries
    from tfchain.monitoring.canaries.schedule import make_gauges
    from tfchain.monitoring.gauge_file import GaugeFile

    limits = CanaryLimits(least_recall, most_ms, vector_distance)
    known = read_canaries(canaries)
    if model is None and not canaries.is_dir():
        raise InputError("`--model` must be the model's name, since a file does not say it. Received: none.")
    name = model or canaries.resolve().parent.name
    gauges = GaugeFile(metrics_file, {"model": name}) if metrics_file is not None else None
    set_gauges = make_gauges(gauges.add_gauge) if gauges is not None else None
    options: dict[str, Any] = {"timeout_seconds": timeout, "api_key": api_key, "ca_file": ca_file}
    checks, is_good = 0, True
    due = time.monotonic()
    while True:
        try:
            with connect(url, name, version=model_version, **options) as served:
                report = check_canaries(make_ask(served), known, limits)
        except TfchainError as error:
            if every is None:
                raise
            is_good = False
            click.echo(f"error: {error}", err=True)
        else:
            is_good = report.is_good
            show_report(report, as_json)
            if set_gauges is not None and gauges is not None:
                set_gauges(report)
                gauges.write()
        checks += 1
        if every is None or checks == times:
            break
        due = max(due + every, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0))
    sys.exit(0 if is_good else FOUND_SOMETHING)


def show_report(report: "CanaryReport", as_json: bool) -> None:
    """Prints a report in a line, and a line for each finding."""
    if as_json:
        print_json({"time": round(time.time(), 3), **report.to_dict()})
        return
    values = {
        "recall": report.recall,
        "median ms": report.latency_ms,
        "p99 ms": report.p99_latency_ms,
        "vector distance": report.vector_distance,
    }
    measured = "  ".join(f"{name} {to_words(value)}" for name, value in values.items() if value is not None)
    word = "good" if report.is_good else "WRONG"
    click.echo(f"{time.strftime('%H:%M:%S')}  {word}  {report.canaries} canaries  {measured}")
    for finding in report.findings:
        click.echo(f"  {finding.kind}: {finding.message}")
