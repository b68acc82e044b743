"""`tfchain deploy`: writes the files that run a version somewhere else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.deployment.targets.artefact import Artefact
    from tfchain.deployment.targets.served_version import ServedVersion
    from tfchain.deployment.targets.target import WrittenTarget

MEASURE_SECONDS = 30


@click.command("deploy", short_help="Write the files that run a version somewhere else.")
@click.argument("version", metavar="VERSION", required=False, type=click.Path(path_type=Path))
@click.option("--target", help="Where it is to run; --list-targets names all.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="The folder to write: new or empty.")
@click.option("--name", help="The model's name in requests.  [default: the name of the folder around VERSION]")
@click.option(
    "--set", "settings", metavar="NAME=VALUE", multiple=True, help="An option of the target, as often as needed."
)
@click.option(
    "--measure", is_flag=True, help="Measure the version here first, with the target's engine, if nobody has."
)
@click.option("--dry-run", is_flag=True, help="Print the files, and write nothing.")
@click.option("--force", is_flag=True, help="Replace the files that an earlier call wrote to DIR; your own stay.")
@click.option("--list-targets", is_flag=True, help="Print the targets and their options.")
@output_options
def deploy_command(
    version: Path | None,
    target: str | None,
    out: Path | None,
    name: str | None,
    settings: tuple[str, ...],
    measure: bool,
    dry_run: bool,
    force: bool,
    list_targets: bool,
    as_json: bool,
) -> None:
    """Write the files that run VERSION (saved_models/NAME/1 for example) on a target: an image, a unit, manifests.

    Sizes, limits and batching are made from the version's measurement, if it has one. What the target cannot run is
    refused. No key and no password is ever written: they are read from files, or from the platform's secrets.

    \b
    Examples:
      tfchain deploy --list-targets
      tfchain deploy saved_models/docs/1 --target docker --out build/docs --measure
      tfchain deploy saved_models/docs/1 --target docker --set server=own --set api_keys=true --dry-run
      tfchain deploy saved_models/docs/1 --target systemd --out build/docs
    """
    from tfchain.deployment.targets.artefact import check_out
    from tfchain.deployment.targets.options import make_options
    from tfchain.deployment.targets.target import load_target, write_target

    if list_targets:
        show_targets(as_json)
        return
    if version is None or target is None or (out is None and not dry_run):
        missing = "VERSION" if version is None else "--target" if target is None else "--out or --dry-run"
        raise click.UsageError(f"Missing {missing}.")
    options = dict(split_setting(setting) for setting in settings)
    made = make_options(target, load_target(target).options, options)
    if out is not None and not dry_run:
        check_out(out, force=force)
    from tfchain.deployment.targets.served_version import read_version

    served = read_version(version, model_name=name)
    if measure:
        check_before(target, served, made)
        if measure_here(served, made):
            served = read_version(version, model_name=name)
    written = write_target(served, target, out or Path(), options=options, force=force, dry_run=dry_run)
    if as_json:
        files = [artefact.path for artefact in written.artefacts]
        folder = None if dry_run else str(written.folder)
        print_json({"target": target, "out": folder, "files": files, "notes": list(written.notes)})
    else:
        show_written(written, is_dry=dry_run)


def split_setting(setting: str) -> tuple[str, str]:
    """Splits `NAME=VALUE`."""
    name, equals, value = setting.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--set takes NAME=VALUE. Received: {setting}.")
    return name, value


def check_before(target: str, version: "ServedVersion", options: Any) -> None:
    """Refuses what a target cannot run before it is measured for half a minute; batching needs the measurement."""
    from tfchain.deployment.targets.target import load_target

    try:
        load_target(target).check(version, options)
    except InputError as error:
        if error.argument != "batching":
            raise


def measure_here(version: "ServedVersion", options: Any) -> bool:
    """Measures a version with the engine that answers on the target, unless it has been; keeps that beside its files.

    Args:
        version: The version.
        options: The target's options, of which `server` and `engine` say what answers.

    Returns:
        Whether it was measured.
    """
    from tfchain.chains.model_server import PROGRAM
    from tfchain.deployment.capacity.measure import measure_version
    from tfchain.deployment.capacity.measurement import write_measurement
    from tfchain.deployment.targets.server_command import OWN, STOCK
    from tfchain.deployment.targets.sizing import find_engine, find_measurement

    server = getattr(options, "server", OWN if hasattr(options, "engine") else STOCK)
    engine = getattr(options, "engine", "auto")
    if server not in (STOCK, OWN):  # tfchain's server without TensorFlow
        server, engine = OWN, "native"
    if find_measurement(version, server=server, engine=engine) is not None:
        return False
    engine = find_engine(version, server, engine)
    with waiting(f"measuring {version.path} with the engine {engine}"):
        found = measure_version(version.path, program=PROGRAM, engine=engine, seconds=MEASURE_SECONDS)
        write_measurement(version.path, found)
    return True


def show_targets(as_json: bool) -> None:
    """Prints the targets and their options."""
    from tfchain.deployment.targets.options import describe_options
    from tfchain.deployment.targets.target import TARGETS, load_target

    targets = {name: load_target(name) for name in TARGETS}
    if as_json:
        print_json({name: describe_options(target.options) for name, target in targets.items()})
        return
    for name, target in targets.items():
        click.echo(f"{name}: {target.summary}")
        for option, text in describe_options(target.options).items():
            click.echo(f"  --set {option}=…  {text}")


def show_written(written: "WrittenTarget", *, is_dry: bool) -> None:
    """Prints the files with their text, or where they are; then what to do with them."""
    if is_dry:
        for artefact in written.artefacts:
            click.echo(f"--- {artefact.path}\n{show_content(artefact)}", nl=False)
    else:
        click.echo(f"wrote {len(written.artefacts)} files and folders to {written.folder}")
    for note in written.notes:
        click.echo(f"  {note}")


def show_content(artefact: "Artefact") -> str:
    """Returns a file's text, or what it is copied from or how large it is."""
    content = artefact.content
    if isinstance(content, Path):
        return f"(copied from {content})\n"
    if isinstance(content, bytes):
        return f"({len(content)} bytes)\n"
    if not isinstance(content, str):
        return "(made when it is written)\n"
    return content if content.endswith("\n") else f"{content}\n"
