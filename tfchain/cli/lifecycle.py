"""`tfchain lifecycle`: runs a model's life cycle from a file, shows where it stands, or writes it for an engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import Interrupted, output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.jobs.lifecycle.engine import LifeCycle, Outcome
    from tfchain.jobs.lifecycle.record import Record

WAITING, STOPPED, LIMIT = 3, 4, 5
TARGETS = ("airflow", "kubeflow", "vertex-pipelines", "argo", "cron")
WORDS = ("status",)


@click.command("lifecycle", short_help="Run a model's life cycle as a file says.")
@click.argument("words", metavar="[status] CONFIG", nargs=-1, required=True)
@click.option("--step", metavar="NAME", help="Run this step alone; for engines that run the graph themselves.")
@click.option("--restart", is_flag=True, help="Give an open cycle up, and begin a new one.")
@click.option(
    *("--wait", "wait_seconds"),
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for another run of the same life cycle.  [default: 0]",
)
@click.option("--target", type=click.Choice(TARGETS), help="Write the graph for this engine instead of running it.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write with --target.  [default: print it]")
@click.option("--force", is_flag=True, help="Replace the file of --out.")
@click.option("--schedule", default="0 3 * * *", show_default=True, help="When cycles begin, as cron writes it.")
@click.option("--image", metavar="NAME", help="The image that has tfchain, for targets that run containers.")
@click.option("--config-path", metavar="PATH", help="The path of CONFIG on the engine's machines.  [default: the same]")
@click.option("--volume", metavar="NAME", help="The claim of the volume with the file and its folders, for the same.")
@output_options
def lifecycle_command(
    words: Sequence[str],
    step: str | None,
    restart: bool,
    wait_seconds: float,
    target: str | None,
    out: Path | None,
    force: bool,
    schedule: str,
    image: str | None,
    volume: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Prepare, train, compress, evaluate, export, check, try out and release a model as the YAML file CONFIG says.

    Each step is written down, is skipped while nothing that it depends on has changed, and goes on where it was after
    Ctrl-C, a crash or a reached limit: run the same command again. Relative paths in CONFIG are relative to its folder.

    \b
    Keys of CONFIG:
      task         search, classification, reranking, question_answering, or module:Class of your own  [default: search]
      base_path    the folder of the versions
      model        a folder or a hub name  [default: the model that comes with tfchain]
      chain        more arguments of the chain, such as {max_length: 128}
      documents    what a search searches
      folder       where everything is written down  [default: NAME-lifecycle beside CONFIG]
      limits       {hours, cost, price_per_core_hour, cores}, for each cycle
      keep_cycles  of how many cycles the work is kept  [default: 5]

    \b
    Steps, each with `approve: true` if a person must approve it:
      prepare      the keys of `tfchain prepare`, without output
      feedback     pairs from the query log: {query_log, …}
      trigger      when to train again: {new_pairs, every_days, drift: {…}}
      train        {dataset, hyperparameters, loss, mining, augment, recipes, validation, start, feedback, …}
      tune         {space, tuner, max_trials, …}: search for hyperparameters in place of a training
      compress     {recipes, keep, max_loss}
      evaluate     {dataset, split, metrics, least: {metric: value}}
      export       {top_k, signatures}
      gate         {dataset, split, metric, margin, rule, max_latency_ms, max_size_mb, min_overlap, …}
      canary       {percent, minutes, canaries, min_recall, max_latency_ms, server, …}
      promote, report

    \b
    Exit codes:
      0  the cycle has ended: a version was released, or there was nothing to do
      3  a step waits for `tfchain approve CONFIG STEP`
      4  the cycle has ended without a release: evaluation, gate, canary or a person stopped it
      5  the cycle has used up its time or money

    \b
    Examples:
      tfchain lifecycle lifecycle.yaml
      tfchain lifecycle status lifecycle.yaml
      tfchain lifecycle lifecycle.yaml --target argo --image registry/tfchain:1 --volume models --out argo.yaml
    """
    action, config = read_words(words)
    from tfchain.jobs.lifecycle.config import read_lifecycle
    from tfchain.jobs.lifecycle.graph import make_life_cycle

    plan = read_lifecycle(config, check_files=action != "status" and target is None)
    life_cycle = make_life_cycle(plan)
    if target is not None:
        options = {"schedule": schedule, "image": image, "volume": volume}
        write_graph(target, life_cycle, Path(config_path or config), out, force=force, options=options)
        return
    if action == "status":
        print_status(life_cycle, as_json=as_json)
        return
    code = run(life_cycle, step=step, restart=restart, wait_seconds=wait_seconds, as_json=as_json)
    click.get_current_context().exit(code)


def read_words(words: Sequence[str]) -> tuple[str, Path]:
    """Reads the action and the file.

    Raises:
        UsageError: if the words are not `CONFIG` or `status CONFIG`.
    """
    if len(words) == 1 and words[0] not in WORDS:
        return "run", Path(words[0])
    if len(words) == 2 and words[0] in WORDS:
        return words[0], Path(words[1])
    raise click.UsageError(f"Give CONFIG, or status CONFIG. Received: {' '.join(words)}.")


def run(life_cycle: "LifeCycle", *, step: str | None, restart: bool, wait_seconds: float, as_json: bool) -> int:
    """Runs the cycle or one step; returns the exit code."""
    from tfchain.jobs.lifecycle.limits import LimitReached

    try:
        if step is None:
            outcome = life_cycle.run(restart=restart, wait_seconds=wait_seconds)
        else:
            if restart:
                raise click.UsageError("--restart begins a whole cycle. Leave --step out.")
            outcome = life_cycle.run_step(step, wait_seconds=wait_seconds)
    except LimitReached as error:
        click.echo(f"limit: {error}", err=True)
        return LIMIT
    except KeyboardInterrupt as error:
        raise Interrupted("What has ended is kept. Run it again to go on.") from error
    if as_json:
        print_json(to_plain(outcome))
    else:
        print_records(outcome.cycle, list(outcome.records.values()))
        click.echo(describe(outcome))
    return find_code(outcome, is_step=step is not None)


def find_code(outcome: "Outcome", *, is_step: bool) -> int:
    """Returns the exit code; a single step that stops a cycle has done its work."""
    if outcome.state == "waiting":
        return WAITING
    if is_step or outcome.stopped_by in (None, "trigger"):
        return 0
    return STOPPED


def describe(outcome: "Outcome") -> str:
    """Says in one line what a run came to."""
    if outcome.state == "waiting":
        return outcome.reason
    if outcome.state == "open":
        return f"cycle {outcome.cycle} is open"
    if outcome.stopped_by is not None:
        return f"cycle {outcome.cycle} has ended: {outcome.stopped_by}: {outcome.reason}"
    return f"cycle {outcome.cycle} has ended"


def to_plain(outcome: "Outcome") -> dict[str, Any]:
    """Returns plain values for --json."""
    return {
        "cycle": outcome.cycle,
        "state": outcome.state,
        "stopped_by": outcome.stopped_by,
        "reason": outcome.reason,
        "steps": [record.to_json() for record in outcome.records.values()],
    }


def print_status(life_cycle: "LifeCycle", *, as_json: bool) -> None:
    """Prints the latest cycle, and all earlier ones in a line each."""
    state = life_cycle.state
    cycles = state.list_cycles()
    if as_json:
        latest = state.read_records(cycles[-1]) if cycles else {}
        steps = [latest[step.name].to_json() for step in life_cycle.steps if step.name in latest]
        print_json({"cycles": [dict(state.read_cycle(cycle)) for cycle in cycles], "steps": steps})
        return
    if not cycles:
        click.echo("no cycle has begun")
        return
    for cycle in cycles:
        values = state.read_cycle(cycle)
        ended = f"ended {values['ended']}: {values['outcome']}" if values.get("ended") else "open"
        click.echo(f"cycle {cycle}, begun {values.get('started')}, {ended}")
    records = state.read_records(cycles[-1])
    print_records(cycles[-1], [records[step.name] for step in life_cycle.steps if step.name in records])


def print_records(cycle: int, records: Sequence["Record"]) -> None:
    """Prints a table of a cycle's steps."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tfchain.cli.output import to_line

    table = Table(box=None, pad_edge=False, title=Text(f"cycle {cycle}", style="bold"), title_justify="left")
    table.add_column("step", style="cyan")
    table.add_column("status")
    for name in ("seconds", "cost"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold")
    for record in records:
        cost = "" if record.cost is None else f"{record.cost:.4g}"
        table.add_row(record.step, record.status, f"{record.seconds:.1f}", cost, Text(to_line(record.reason)))
    Console(highlight=False).print(table)


def write_graph(
    target: str, life_cycle: "LifeCycle", config: Path, out: Path | None, *, force: bool, options: dict[str, Any]
) -> None:
    """Writes the graph for an engine, or prints it."""
    from tfchain.core.atomic import write_file
    from tfchain.jobs.lifecycle.targets import render
    from tfchain.jobs.lifecycle.targets.pipeline import make_pipeline

    text = render(target, make_pipeline(life_cycle.steps, config, **options))
    if out is None:
        click.echo(text, nl=False)
        return
    if out.exists() and not force:
        raise InputError(f"`--out` must be a new file. Received: {out}, which exists. Add --force to replace it.")
    click.echo(write_file(out, text))
