"""`tfchain monitor drift`: compares the queries of a log with a version's reference, and says which are new."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfchain.cli.monitor_canary import FOUND_SOMETHING
from tfchain.cli.output import print_json, to_line, waiting
from tfchain.cli.process import output_options, served_engine_option

if TYPE_CHECKING:
    from tfchain.monitoring.canaries.canary import CanaryQuery
    from tfchain.monitoring.drift.stream import StreamReport


@click.command("drift", short_help="Compare logged queries with a version's reference.")
@click.option(
    "--reference", required=True, metavar="VERSION", type=click.Path(path_type=Path), help="A version with a reference."
)
@click.option("--query-log", metavar="DIR", type=click.Path(path_type=Path), help="The folder of a server's query log.")
@click.option("--queries", metavar="FILE", type=click.Path(path_type=Path), help="A file of queries, in their order.")
@click.option("--documents", metavar="FILE", type=click.Path(path_type=Path), help="Documents that were added since.")
@served_engine_option
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write gauges for Prometheus' textfile collector.",
)
@output_options
def drift_command(
    reference: Path,
    query_log: Path | None,
    queries: Path | None,
    documents: Path | None,
    engine: str,
    metrics_file: Path | None,
    as_json: bool,
) -> None:
    """Compare logged queries, and documents, with what VERSION's reference says they were like.

    Queries are taken in their order, as a server saw them, and compared window by window. The version's canaries are
    asked first: if the model itself differs, nothing is said of queries.

    \b
    Exit codes:
      0  no drift at the end      1  an error      3  drift; it is said of what

    \b
    Examples:
      tfchain monitor drift --reference saved_models/docs/1 --query-log /var/log/tfchain/queries
      tfchain monitor drift --reference saved_models/docs/1 --queries last_week.txt --json
    """
    from tfchain.core.errors import InputError
    from tfchain.data.files.text_file import read_texts
    from tfchain.monitoring.drift.reference import read_reference
    from tfchain.monitoring.log.log_reader import LogReader

    known = read_reference(reference)
    if query_log is None and queries is None and documents is None:
        raise InputError("Drift needs --query-log, --queries or --documents. Received: none of them.")
    asked = [] if query_log is None else [query.text for query in LogReader(query_log).queries()]
    asked += [] if queries is None else read_texts(queries)
    added = [] if documents is None else read_texts(documents)
    for name, texts in (("queries", asked), ("documents", added)):
        if texts and getattr(known, name) is None:
            raise InputError(f"The reference of {reference} has no {name}. Make it again with `--{name} FILE`.")
        if texts and len(texts) < known.config.window:
            raise InputError(
                f"Drift is looked for in {known.config.window} {name} at a time. Received: {len(texts)}. "
                "Log more, or make a reference with a smaller --window."
            )

    from tfchain.chains.monitored_version import make_unknown_counter, open_version
    from tfchain.monitoring.drift.monitor import DriftMonitor
    from tfchain.monitoring.drift.replay import replay
    from tfchain.monitoring.gauge_file import GaugeFile

    gauges = GaugeFile(metrics_file) if metrics_file is not None else None
    with waiting("loading the version, and asking it"), open_version(reference, engine=engine) as model:
        monitor = DriftMonitor(known, add_gauge=None if gauges is None else gauges.add_gauge)
        canaries = read_version_canaries(reference)
        looks = replay(
            monitor,
            model,
            queries=asked,
            documents=added,
            canaries=canaries,
            count_unknown=make_unknown_counter(reference, model),
        )
        report = monitor.report()
    if gauges is not None:
        gauges.write()
    drifts = {name: [look.position for look in found if look.is_drift] for name, found in looks.items()}
    if as_json:
        print_json({**report.to_dict(), "drift_at": drifts})
    else:
        if report.causes == ("model",):
            click.echo("model: it gives other vectors than when the reference was made; nothing is said of queries")
        for name, stream in (("queries", report.queries), ("documents", report.documents)):
            if stream is not None and stream.items:
                show_stream(name, stream, drifts[name])
    sys.exit(FOUND_SOMETHING if report.causes else 0)


def read_version_canaries(version: Path) -> "list[CanaryQuery]":
    """Returns a version's canaries; none if it has none."""
    from tfchain.monitoring.canaries.canary import find_canaries, read_canaries

    return read_canaries(version) if find_canaries(version).is_file() else []


def show_stream(name: str, stream: "StreamReport", drifts: Sequence[int]) -> None:
    """Prints a stream: what was compared, and if it drifts, which items are new."""
    state = f"drift since {stream.since:,}" if stream.is_drifting else "no drift"
    click.echo(f"{name}: {state} ({stream.items:,} of them, looks with drift: {len(drifts):,})")
    for statistic, value in stream.values.items():
        stability = stream.stability.get(statistic)
        index = "" if stability is None else f", stability index {stability:.3f}"
        click.echo(f"  {statistic}: {value:.4f}, without drift below {stream.thresholds[statistic]:.4f}{index}")
    if stream.origin == "documents" and name == "queries":
        click.echo("  documents stood in for queries when the reference was made, so this says little")
    if stream.classifier_area is not None:
        click.echo(f"  a classifier tells them from the reference with an area of {stream.classifier_area:.3f}")
    if stream.newcomers is not None:
        click.echo(f"  {stream.newcomers.share:.0%} of the latest {stream.window} are new:")
        for cluster in stream.newcomers.clusters:
            examples = " · ".join(to_line(text)[:80] for text in cluster.examples)
            click.echo(f"    {cluster.size:4d}  {examples}")
