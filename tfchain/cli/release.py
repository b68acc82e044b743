"""`tfchain release`: the gate before a version goes live."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.deployment.releases.report import ReleaseReport

REFUSED = 3  # the exit code of a version that the gate refuses
MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}


@click.command("release", short_help="Check a version before it goes live.")
@click.argument("version", metavar="VERSION", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="The evaluation set, in a form that the task reads.")
@click.option("--without-evaluation", is_flag=True, help="Do not compare the metric; the report says so.")
@click.option("--split", default="test", show_default=True, help="The split of a folder that has several.")
@click.option("--metric", help="The task's metric.  [default: its objective, such as ndcg@10]")
@click.option("--live", type=int, help="The version to compare with.  [default: the live one of the same base path]")
@click.option(
    "--margin", type=float, default=0.02, show_default=True, help="The accepted loss, as a share of the metric."
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="How often a loss of the margin may pass.")
@click.option("--rule", type=click.Choice(["margin", "strict"]), default="margin", show_default=True,
              help="strict: refuse a loss within the margin, too, if it is significant.")  # fmt: skip
@click.option("--max-latency-ms", type=float, help="The most milliseconds of a question (95th percentile).")
@click.option("--max-size-mb", type=float, help="The most megabytes of the version's files.")
@click.option("--min-overlap", type=float, help="The least share of the ten best answers that both versions have.")
@click.option("--server", default="2.20", show_default=True, help="The oldest TensorFlow Serving that must run it.")
@click.option("--engine", type=click.Choice(["auto", "tensorflow", "litert", "native"]), default="tensorflow",
              show_default=True, help="What answers, as in `tfchain serve`.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the randomization test.")
@output_options
def release_command(
    version: Path,
    data: Path | None,
    without_evaluation: bool,
    split: str,
    metric: str | None,
    live: int | None,
    margin: float,
    alpha: float,
    rule: str,
    max_latency_ms: float | None,
    max_size_mb: float | None,
    min_overlap: float | None,
    server: str,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Check VERSION, a folder such as saved_models/docs/3, before it goes live.

    The gate checks its ops, asks it again what its export asked, compares the task's metric with the live version's by
    a paired randomization test, and measures speed, size, and how far the answers differ. It passes if a loss of more
    than the margin can be excluded. The report stays with the version: blessing.json and blessing.html.

    \b
    Exit codes: 0 let through, 3 refused, 1 an error (no report), 2 a wrong command line.

    \b
    Examples:
      tfchain release saved_models/docs/3 --data data/scifact
      tfchain release saved_models/docs/3 --data judged --margin 0.01 --max-latency-ms 20 --max-size-mb 100
    """
    from tfchain.chains.releasing import release_version
    from tfchain.deployment.releases.limits import ReleaseLimits

    if (data is None) != without_evaluation:
        received = "neither" if data is None else "both"
        raise InputError(f"`tfchain release` needs --data or --without-evaluation. Received: {received}.")
    limits = ReleaseLimits(
        margin=margin,
        alpha=alpha,
        rule="strict" if rule == "strict" else "margin",
        max_latency_ms=max_latency_ms,
        max_size_mb=max_size_mb,
        min_overlap=min_overlap,
        server=server,
    )
    with waiting("checking the version"):
        report = release_version(
            version,
            data,
            split=split,
            metric=metric,
            limits=limits,
            live_path=None if live is None else version.parent / str(live),
            engine=engine,
            seed=seed,
        )
    if as_json:
        print_json(report.to_json())
    else:
        say_report(report, version)
    if not report.passed:
        raise click.exceptions.Exit(REFUSED)


def say_report(report: "ReleaseReport", path: Path) -> None:
    """Prints the checks and the verdict."""
    for check in report.checks:
        click.echo(f"{MARKS[check.outcome]} {check.name:8} {check.message}")
    verdict = "let through" if report.passed else "refused"
    click.echo(f"{verdict}: {report.model} version {report.version}; see {path / 'blessing.html'}")
