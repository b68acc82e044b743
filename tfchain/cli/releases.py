"""`tfchain releases`: the versions of a base path, who is live, and what the gate said of each."""

from pathlib import Path
from typing import Any

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import output_options


@click.command("releases", short_help="List versions: who is live, what the gate said.")
@click.argument("base_path", metavar="BASE_PATH", type=click.Path(path_type=Path))
@click.option(
    "--prune", "keep", type=click.IntRange(0), help="First remove older versions, but so many; never the live one."
)
@click.option("--verify", is_flag=True, help="Read all files, to see whether they are those that the gate checked.")
@click.option("--history", is_flag=True, help="Show the changes, too.")
@output_options
def releases_command(base_path: Path, keep: int | None, verify: bool, history: bool, as_json: bool) -> None:
    """List the versions of BASE_PATH with their roles, reports and fingerprints.

    \b
    Examples:
      tfchain releases saved_models/docs
      tfchain releases saved_models/docs --history
      tfchain releases saved_models/docs --prune 2
    """
    from dataclasses import asdict

    from tfchain.cli.folders import check_is_base_path
    from tfchain.deployment.release_state import read_state
    from tfchain.deployment.releases.switch import list_releases, prune

    check_is_base_path(base_path)
    removed = [] if keep is None else prune(base_path, keep=keep)
    listed = list_releases(base_path, verify=verify)
    events = [asdict(event) for event in read_state(base_path).history] if history else []
    if as_json:
        print_json({"releases": listed, "removed": removed, **({"history": events} if history else {})})
        return
    if removed:
        click.echo(f"removed: {', '.join(map(str, removed))}")
    print_table(listed)
    for event in events:
        version = "" if event["version"] is None else f" {event['version']}"
        click.echo(f"{event['at']}  {event['action']}{version}  {event['reason']}".rstrip())


def print_table(listed: list[Any]) -> None:
    """Prints a row for each version."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("version", "role", "gate", "gain", "fingerprint", "checked"):
        table.add_column(name, justify="right" if name in ("version", "gain") else "left")
    for item in listed:
        role = f"{item['role']} {item['percent']:g} %" if item["percent"] not in (0, 100) else item["role"]
        gain = "" if item["gain"] is None else f"{item['gain']:+.4f}"
        row = (
            str(item["version"]),
            role,
            describe_gate(item),
            gain,
            item["fingerprint"][:12],
            item["reported_at"] or "",
        )
        table.add_row(*row)
    Console(highlight=False).print(table)


def describe_gate(item: Any) -> str:
    """Returns what the gate said of a version, in words."""
    if item["passed"] is None:
        return "not checked"
    if item["is_current"] is False:
        return "changed since"
    return "let through" if item["passed"] else "refused"
