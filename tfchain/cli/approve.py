"""`tfchain approve`: lets a step of a life cycle run that waits for a person, or refuses it."""

from pathlib import Path

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError


@click.command("approve", short_help="Let a waiting step of a life cycle run.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--refuse", is_flag=True, help="Do not let it run: the cycle ends without a release.")
@click.option("--reason", default="", help="Why; it is written down.")
@output_options
def approve_command(config: Path, step: str | None, refuse: bool, reason: str, as_json: bool) -> None:
    """Let the STEP of the life cycle in CONFIG run that waits for approval; without STEP, the only one that waits.

    The answer holds for what waits now: if data or settings change, the step waits again. The next
    `tfchain lifecycle CONFIG` goes on.

    \b
    Examples:
      tfchain approve lifecycle.yaml
      tfchain approve lifecycle.yaml promote --refuse --reason "the holidays"
    """
    from tfchain.jobs.lifecycle.config import read_lifecycle
    from tfchain.jobs.lifecycle.graph import make_life_cycle

    life_cycle = make_life_cycle(read_lifecycle(config, check_files=False))
    waiting = {record.step: record for record in life_cycle.waiting()}
    if step is None and len(waiting) == 1:
        step = next(iter(waiting))
    if step is None or step not in waiting:
        names = ", ".join(waiting) or "none"
        raise InputError(f"STEP must be a step that waits for approval. Received: {step}. Waiting: {names}.")
    life_cycle.state.answer(waiting[step], approve=not refuse, reason=reason)
    word = "refused" if refuse else "approved"
    if as_json:
        print_json({"step": step, "cycle": waiting[step].cycle, "answer": word})
    else:
        click.echo(f"{step} of cycle {waiting[step].cycle} is {word}. Go on with `tfchain lifecycle {config}`.")
