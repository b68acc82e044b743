"""`tfchain prepare`: cleans, splits and checks data as a file says, and writes a set."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import Interrupted, output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.data.preparation.report import PreparationReport
    from tfchain.data.preparation.set_writer import PreparedSet
    from tfchain.jobs.preparation_plan import PreparationPlan


@click.command("prepare", short_help="Prepare data as a file says.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--restart", is_flag=True, help="Start over instead of continuing a stopped preparation.")
@click.option("--runner", metavar="NAME", help="Run it on Apache Beam: DirectRunner, FlinkRunner, DataflowRunner, …")
@click.option(
    "--runner-option",
    "runner_options",
    metavar="FLAG",
    multiple=True,
    help="A flag of Beam's, such as --flink_master=host:8081; may be repeated.",
)
@output_options
def prepare_command(
    config: Path, restart: bool, runner: str | None, runner_options: tuple[str, ...], as_json: bool
) -> None:
    """Run steps over documents or rows as the YAML file CONFIG says, and write a set.

    The output appears whole or not at all. After Ctrl-C or a crash, the same command goes on from the last
    checkpoint. Relative paths in CONFIG are relative to its folder.

    With --runner, Beam's workers run the steps and write the same set; num_workers and checkpoint_seconds are then
    the runner's business, and a run that was stopped reads and cleans again.

    \b
    Keys of CONFIG:
      source              a file or a folder, or a list of them
      read                documents (for an index) or rows (to train on)  [default: documents]
      steps               a list of steps: names, or {name: {its settings}}
      output              the new folder
      format              jsonl, parquet or, for rows, tfrecord  [default: jsonl]
      shard_records       records in a file of the set  [default: 10,000]
      side_file           the name of a file in the set for what was dropped or changed  [default: none]
      card                fields for the set's card: name, description, licence, …
      model               a folder or a hub name, for steps that need a model
      num_workers         processes  [default: the number of processor cores]
      checkpoint_seconds  the least time between two checkpoints  [default: 30]

    \b
    Examples:
      tfchain prepare prepare.yaml
      tfchain prepare prepare.yaml --runner FlinkRunner --runner-option=--flink_master=host:8081
      tfchain index prepared --out index
    """
    start = time.monotonic()
    with waiting("reading the steps"):
        from tfchain.data.preparation.prepare import prepare
        from tfchain.jobs.preparation_plan import read_preparation

        plan = read_preparation(config)
    if runner_options and runner is None:
        raise InputError(f"--runner-option needs --runner. Received: {runner_options[0]} without. Name the runner.")
    try:
        if runner is not None:
            made = prepare_on(runner, runner_options, plan)
        else:
            callables = load_callables(plan)
            made = prepare(
                plan.source,
                plan.steps,
                output=plan.output,
                callables=callables,
                resume=not restart,
                **plan.options,
            )
    except KeyboardInterrupt as error:
        raise Interrupted(f"Run it again to go on. {plan.output} does not exist yet.") from error
    values = {
        "output": str(made.path),
        "kind": made.manifest.kind,
        "read": made.report.read,
        "written": made.report.written,
        "files": len(made.manifest.shards),
        "fingerprint": made.fingerprint,
    }
    seconds = time.monotonic() - start
    if as_json:
        print_json({**values, "steps": made.report.to_dict()["steps"], "seconds": round(seconds, 3)})
    else:
        print_report(made.report)
        print_values({**values, "seconds": f"{seconds:.1f}"})


def prepare_on(runner: str, flags: Sequence[str], plan: "PreparationPlan") -> "PreparedSet":
    """Prepares data on Apache Beam; workers load the model if a step needs it."""
    from tfchain.data.beam.package import check_beam

    check_beam()
    from tfchain.data.beam.prepare import prepare_with_beam

    load = None
    if plan.model is not None and any(step.missing() for step in plan.steps):
        from tfchain.jobs.beam_worker import LoadCallables, WorkerModel

        load = LoadCallables(WorkerModel(str(plan.model)))
    if "reading" in plan.options:
        raise InputError(
            "With --runner, empty documents are left out, and the first broken one ends the run. Received: a file with "
            "`empty`, `max_broken` or `broken_file`. Leave them out, or prepare without --runner."
        )
    own = ("num_workers", "checkpoint_seconds", "progress")
    return prepare_with_beam(
        plan.source,
        plan.output,
        plan.steps,
        load_callables=load,
        options=[f"--runner={runner}", *flags],
        **{name: value for name, value in plan.options.items() if name not in own},
    )


def load_callables(plan: "PreparationPlan") -> dict[str, Any]:
    """Loads the model if a step needs it."""
    if plan.model is None or not any(step.missing() for step in plan.steps):
        return {}
    with waiting("loading the model"):
        from tfchain.models.step_callables import make_step_callables
        from tfchain.models.text_encoder import TextEncoder

        return dict(make_step_callables(TextEncoder.from_pretrained(plan.model)))


def print_report(report: "PreparationReport") -> None:
    """Prints a table of the steps."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not report.steps:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("step", style="cyan")
    for name in ("received", "dropped", "changed", "added", "passed on"):
        table.add_column(name, justify="right")
    table.add_column("reasons", overflow="fold")
    for step, *counts, reasons in report.rows():
        table.add_row(step, *(f"{count:,}" for count in counts), Text(reasons))
    Console(highlight=False).print(table)
