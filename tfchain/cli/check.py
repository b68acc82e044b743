"""`tfchain check`: a report on data before a model is trained or measured on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import Failure, output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.data.checks.finding import Finding

SEVERITIES = ("ok", "look", "stop")
FOLDER = click.Path(path_type=Path)


@click.command("check", short_help="Report faults and leaks in data.")
@click.option("--train", multiple=True, type=FOLDER, help="Data to train on; may be repeated.")
@click.option("--corpus", type=FOLDER, help="The documents that are searched.  [default: the BEIR folder's]")
@click.option("--evaluation", multiple=True, type=FOLDER, help="Data to evaluate on; may be repeated.")
@click.option("--train-split", default="train", show_default=True, help="Of a BEIR folder: qrels/SPLIT.tsv.")
@click.option("--evaluation-split", default="test", show_default=True, help="Of a BEIR folder: qrels/SPLIT.tsv.")
@click.option("--model", metavar="M", help="A model folder or a hub name: lengths are counted in its tokens.")
@click.option("--encode", is_flag=True, help="Use the vectors of --model, too: the same meaning, ranks, skew.")
@click.option("--languages", is_flag=True, help="Detect the language of each text.")
@click.option("--max-length", type=int, help="The most tokens that the model reads.  [default: that of the model]")
@click.option("--near-threshold", type=float, default=0.7, show_default=True, help="From 0 to 1: how alike is alike.")
@click.option("--examples", type=click.IntRange(min=0), default=5, show_default=True, help="Of each finding.")
@click.option("--schema", type=FOLDER, help="Hold the rows of --train and --evaluation to this schema.")
@click.option("--write-schema", metavar="FILE", type=FOLDER, help="Infer the schema of --train, and write it.")
@click.option(
    "--out", metavar="DIR", type=FOLDER, help="Write report.html, report.json and report.txt to a new folder."
)
@click.option("--fail-on", type=click.Choice(["look", "stop"]), help="End with exit code 1 if a finding says so.")
@output_options
def check_command(
    train: tuple[Path, ...],
    corpus: Path | None,
    evaluation: tuple[Path, ...],
    train_split: str,
    evaluation_split: str,
    model: str | None,
    encode: bool,
    languages: bool,
    max_length: int | None,
    near_threshold: float,
    examples: int,
    schema: Path | None,
    write_schema: Path | None,
    out: Path | None,
    fail_on: str | None,
    as_json: bool,
) -> None:
    """Check data before a model is trained or measured on it.

    Data are .jsonl, .csv, .tsv (each also .gz) or .parquet files of rows, SQuAD-like .json files (also .gz) or BEIR
    folders; the corpus may be anything that `tfchain index` reads. The report names texts that are empty, repeated,
    too long or in another language; leaks from training into evaluation; contradictions; negatives that are relevant;
    positives that a search ranks badly; answers that are not in their passage; rare labels; and skew.

    \b
    Examples:
      tfchain check --train data/scifact --evaluation data/scifact --out report
      tfchain check --train train.csv --evaluation test.csv --write-schema schema.yaml
      tfchain check --train next.csv --schema schema.yaml --fail-on stop
    """
    if not (train or corpus or evaluation):
        raise InputError("Give at least one of --train, --corpus and --evaluation. Received: none of them.")
    if encode and model is None:
        raise InputError("--encode needs the vectors of a model. Received: no --model. Name one.")
    if write_schema is not None and not train:
        raise InputError("--write-schema infers the schema of --train. Received: no --train. Name the good data.")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out must be a new or an empty folder. Received: {out}. Name another one.")
    from tfchain.data.checks.data_report import data_report
    from tfchain.data.checks.options import ReportOptions

    options = ReportOptions(
        near_threshold=near_threshold,
        max_length=max_length,
        num_examples=examples,
        train_split=train_split,
        evaluation_split=evaluation_split,
    )
    broken = check_rows(schema, {"train": train, "evaluation": evaluation}, examples)
    with waiting("checking"):
        tools = load_tools(model, encode=encode, languages=languages)
        report = data_report(list(train) or None, corpus, list(evaluation) or None, options=options, **tools)
    report = report.with_findings(broken)
    if write_schema is not None:
        write_inferred(write_schema, train, tools.get("detect_language"))
    if out is not None:
        report.write(out)
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(report)
    if fail_on is not None and SEVERITIES.index(report.severity) >= SEVERITIES.index(fail_on):
        raise Failure(f"The data has findings that say {report.severity}.")


def check_rows(schema: Path | None, sets: dict[str, tuple[Path, ...]], examples: int) -> "list[Finding]":
    """Returns what breaks the schema; nothing without one."""
    if schema is None:
        return []
    from tfchain.data.checks.check_schema import check_schema
    from tfchain.data.checks.reading import rows_of
    from tfchain.data.checks.schema import Schema

    read = Schema.read(schema)
    return [
        finding
        for name, paths in sets.items()
        if paths
        for finding in check_schema(read, rows_of(list(paths), name, split=""), name=name, num_examples=examples)
    ]


def write_inferred(path: Path, train: Sequence[Path], detect_language: Any) -> None:
    """Writes the schema of the training data."""
    from tfchain.data.checks.infer_schema import infer_schema
    from tfchain.data.checks.reading import rows_of

    infer_schema(rows_of(list(train), "train", split=""), detect_language=detect_language).write(path)


def load_tools(model: str | None, *, encode: bool, languages: bool) -> dict[str, Any]:
    """Returns the arguments of `data_report` that need a model or another package."""
    tools: dict[str, Any] = {}
    if model is not None:
        from tfchain.models.text_encoder import TextEncoder

        encoder = TextEncoder.from_pretrained(model)
        tools["tokenizer"] = encoder.tokenizer
        if encode:
            tools["encode"] = encoder.encode
    if languages:
        from tfchain.data.cleaning.language import detect_language

        tools["detect_language"] = detect_language
    return tools


def print_report(report: Any) -> None:
    """Prints the report, in colours on a terminal."""
    from rich.console import Console

    console = Console()
    click.echo(report.to_text(width=min(console.width, 120), colour=console.is_terminal and not console.no_color))
