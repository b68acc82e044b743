"""`tfchain prepare`: cleans, splits and checks data as a file says, and writes a set."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import Interrupted, output_options

if TYPE_CHECKING:
    from tfchain.data.preparation.report import PreparationReport
    from tfchain.jobs.preparation_plan import PreparationPlan


@click.command("prepare", short_help="Prepare data as a file says.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--restart", is_flag=True, help="Start over instead of continuing a stopped preparation.")
@output_options
def prepare_command(config: Path, restart: bool, as_json: bool) -> None:
    """Run steps over documents or rows as the YAML file CONFIG says, and write a set.

    The output appears whole or not at all. After Ctrl-C or a crash, the same command goes on from the last
    checkpoint. Relative paths in CONFIG are relative to its folder.

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
      tfchain index prepared --out index
    """
    start = time.monotonic()
    with waiting("reading the steps"):
        from tfchain.data.preparation.prepare import prepare
        from tfchain.jobs.preparation_plan import read_preparation

        plan = read_preparation(config)
    callables = load_callables(plan)
    try:
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
