"""`tfchain promote` and `tfchain rollback`: which version of a base path is live, or on trial."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import output_options
from tfchain.cli.promote_watch import WatchOptions, prepare_watch, watch_options, watch_server
from tfchain.cli.release import REFUSED
from tfchain.core.errors import InputError


def serving_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that tell a TensorFlow Serving of the change."""
    for option in (
        click.option("--name", help="The model's name there.  [default: the base path's folder]"),
        click.option("--served-path", default="", help="The base path as that server sees it, such as /models/docs."),
        click.option("--server", metavar="HOST:PORT", help="Put it in force in this TensorFlow Serving, over gRPC; the "
                     "base path must be its only model."),
        click.option("--model-config", type=click.Path(path_type=Path, dir_okay=False),
                     help="Write a model config file of TensorFlow Serving, with version labels."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("promote", short_help="Make a version live, or try it out on a share of the requests.")
@click.argument("base_path", metavar="BASE_PATH", type=click.Path(path_type=Path))
@click.argument("version", metavar="[VERSION]", type=int, required=False)
@click.option("--canary", type=float, metavar="PERCENT", help="Only send this share of the requests to it.")
@click.option("--shadow", type=float, metavar="PERCENT", help="Only copy this share of the requests to it.")
@click.option("--without-blessing", is_flag=True, help="Do so although the gate has not let it through.")
@click.option("--reason", default="", help="Why, for the history.")
@watch_options
@serving_options
@output_options
def promote_command(
    base_path: Path,
    version: int | None,
    canary: float | None,
    shadow: float | None,
    without_blessing: bool,
    reason: str,
    watch: WatchOptions,
    name: str | None,
    served_path: str,
    server: str | None,
    model_config: Path | None,
    as_json: bool,
) -> None:
    """Make VERSION of BASE_PATH live; without a VERSION, its canary.

    `tfchain serve` follows the change within a second. A stock TensorFlow Serving takes it by --server, or by
    --model-config if it polls that file: the live version gets the label `stable`, the canary `canary`.

    --watch rolls the canary back when it fails more often than the live version, is slower, or does not answer canary
    queries as expected: those in the version (`tfchain monitor reference` writes them), or those of --canaries.

    \b
    Examples:
      tfchain promote saved_models/docs 3
      tfchain promote saved_models/docs 3 --canary 10
      tfchain promote saved_models/docs 3 --canary 10 --watch http://127.0.0.1:8501
      tfchain promote saved_models/docs 3 --canary 10 --watch http://127.0.0.1:8501 --canaries known.jsonl
      tfchain promote saved_models/docs
      tfchain promote saved_models/docs 3 --server 127.0.0.1:8500 --served-path /models/docs
    """
    from tfchain.deployment.releases import switch

    if canary is not None and shadow is not None:
        raise InputError(f"A version is a canary or a shadow. Received: --canary {canary:g} and --shadow {shadow:g}.")
    if (canary is not None or shadow is not None) and version is None:
        raise InputError("--canary and --shadow need a VERSION. Received: none.")
    prepared = prepare_watch(watch, base_path, version if canary is not None else None)
    if shadow is not None:
        state = switch.start_shadow(base_path, to_version(version), percent=shadow)
    elif canary is not None:
        state = switch.start_canary(
            base_path, to_version(version), percent=canary, reason=reason, needs_blessing=not without_blessing
        )
    else:
        state = switch.promote(base_path, version, reason=reason, needs_blessing=not without_blessing)
    tell_servers(base_path, name, served_path, server, model_config)
    decision = None
    if prepared is not None:
        decision = watch_server(prepared, base_path, name, state)
        tell_servers(base_path, name, served_path, server, model_config)
    say_state(base_path, as_json, decision)
    if decision == "roll back":
        raise click.exceptions.Exit(REFUSED)


@click.command("rollback", short_help="Take a canary away, or go back to the version before.")
@click.argument("base_path", metavar="BASE_PATH", type=click.Path(path_type=Path))
@click.argument("version", metavar="[VERSION]", type=int, required=False)
@click.option("--reason", default="", help="Why, for the history.")
@serving_options
@output_options
def rollback_command(
    base_path: Path,
    version: int | None,
    reason: str,
    name: str | None,
    served_path: str,
    server: str | None,
    model_config: Path | None,
    as_json: bool,
) -> None:
    """Take the canary of BASE_PATH away; without one, make VERSION live, or the version that was live before.

    \b
    Examples:
      tfchain rollback saved_models/docs --reason "wrong answers for part numbers"
      tfchain rollback saved_models/docs 2
    """
    from tfchain.deployment.releases.switch import rollback

    rollback(base_path, version, reason=reason)
    tell_servers(base_path, name, served_path, server, model_config)
    say_state(base_path, as_json)


def to_version(version: int | None) -> int:
    """Returns a version that was checked to be given."""
    assert version is not None
    return version


def tell_servers(
    base_path: Path, name: str | None, served_path: str, server: str | None, model_config: Path | None
) -> None:
    """Writes the model config file, and puts the change in force in a running server, as the options say."""
    if server is None and model_config is None:
        return
    from tfchain.deployment.releases.model_service import GrpcModelService
    from tfchain.deployment.releases.serving_config import ServedBase, reload_server, write_model_config

    bases = [ServedBase(name or base_path.resolve().name, base_path, served_path)]
    if model_config is not None:
        write_model_config(model_config, bases)
    if server is not None:
        with GrpcModelService(server) as service:
            reload_server(service, bases)


def say_state(base_path: Path, as_json: bool, decision: str | None = None) -> None:
    """Prints what is live now, and what is on trial."""
    from tfchain.deployment.release_state import find_live, read_state

    state, live = read_state(base_path), find_live(base_path)
    if as_json:
        values: dict[str, Any] = {"live": live, "canary": state.canary, "canary_percent": state.canary_percent}
        values |= {"shadow": state.shadow, "shadow_percent": state.shadow_percent, "previous": list(state.previous)}
        print_json(values if decision is None else {**values, "decision": decision})
        return
    if decision == "wait":
        click.echo("somebody else ended the canary")
    elif decision is not None:
        reason = state.history[-1].reason if state.history else ""
        click.echo(f"the canary was {'promoted' if decision == 'promote' else 'rolled back'}: {reason}")
    click.echo(f"live: {live}")
    if state.canary is not None:
        click.echo(f"canary: {state.canary}, {state.canary_percent:g} % of the requests that name no version")
    if state.shadow is not None:
        click.echo(f"shadow: {state.shadow}, copies of {state.shadow_percent:g} % of the requests")
