"""`tfchain monitor reference`: writes into a version what its queries are like, and canary queries with its answers."""

from pathlib import Path

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options, served_engine_option

NUM_CANARIES = 20  # of the queries, evenly spaced, where none are given


@click.command("reference", short_help="Write what drift and canaries are compared with into a version.")
@click.argument("version", metavar="VERSION", type=click.Path(path_type=Path))
@click.option("--queries", metavar="FILE", type=click.Path(path_type=Path), help="Queries, as users ask them.")
@click.option("--documents", metavar="FILE", type=click.Path(path_type=Path), help="Documents, to watch these too.")
@click.option(
    "--canaries",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"Canary queries; a line needs `text` and may have `ids`.  [default: {NUM_CANARIES} of the queries]",
)
@click.option("--window", type=int, default=200, show_default=True, help="How many of the latest are compared.")
@click.option("--stride", type=int, default=50, show_default=True, help="After how many they are compared again.")
@click.option("--horizon", type=int, default=10_000, show_default=True, help="How many --false-alarms is about.")
@click.option("--false-alarms", type=float, default=0.01, show_default=True, help="Their probability in that many.")
@click.option("--burst", type=int, default=1, show_default=True, help="How many that follow each other are alike.")
@served_engine_option
@output_options
def reference_command(
    version: Path,
    queries: Path | None,
    documents: Path | None,
    canaries: Path | None,
    window: int,
    stride: int,
    horizon: int,
    false_alarms: float,
    burst: int,
    engine: str,
    as_json: bool,
) -> None:
    """Ask VERSION what is compared later, and keep its answers in the version.

    `reference.npz` gets a sample of vectors, lengths and scores, with thresholds found by simulation; `canaries.jsonl`
    gets queries with the vectors and hits of this version. Files of texts are .txt (a text a line), .jsonl, .csv or
    .tsv. Where no queries are known, documents stand in for them.

    \b
    Examples:
      tfchain monitor reference saved_models/docs/1 --queries asked.txt
      tfchain monitor reference saved_models/docs/1 --queries asked.jsonl --documents docs.jsonl --canaries known.jsonl
    """
    from tfchain.core.errors import InputError
    from tfchain.data.files.text_file import read_texts
    from tfchain.monitoring.drift.config import DriftConfig

    config = DriftConfig(window, stride, horizon, false_alarms, burst)
    if queries is None and documents is None:
        raise InputError("A reference needs --queries or --documents. Received: neither. Give a file of queries.")
    texts = None if queries is None else read_texts(queries)
    added = None if documents is None else read_texts(documents)

    from tfchain.chains.version_reference import Asked, ask_version, write_answers
    from tfchain.monitoring.canaries.canary import read_canaries

    asked = Asked(texts, added, () if canaries is None else read_canaries(canaries), config)
    with waiting("loading the version, and asking it"):
        answers = ask_version(version, asked, engine=engine)
    with waiting("finding the thresholds"):
        files = write_answers(version, answers, config)
    if as_json:
        numbers = {"queries": len(answers.queries), "canaries": len(answers.canaries)}
        print_json({"files": [str(file) for file in files], **numbers})
        return
    for file in files:
        click.echo(file)
    if texts is None:
        click.echo("Documents stand in for queries: real queries will differ from the start.", err=True)
