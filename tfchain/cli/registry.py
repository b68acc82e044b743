"""`tfchain registry`: keeps versions in a folder or behind a URL, says which is in which stage, and fetches them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.deployment.releases.registry import Registry

KEY_VARIABLE = "TFCHAIN_REGISTRY_KEY"


def registry_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --key-file and the options of output."""
    return click.option(
        "--key-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help=f"The secret that signs and checks versions.  [default: the one in {KEY_VARIABLE}, else no signature]",
    )(output_options(command))


@click.group("registry", short_help="Keep versions in a folder or a bucket, with stages and signatures.")
def registry_command() -> None:
    """Keep versions in a REGISTRY, a folder or a URL that fsspec knows (gs://…, s3://…).

    The secret comes from a file or from the environment variable TFCHAIN_REGISTRY_KEY, never from the command line,
    where other users of the machine could read it.

    \b
    Examples:
      tfchain registry push gs://bucket/models saved_models/docs/4 --lineage data=prepared/card.json
      tfchain registry stage gs://bucket/models docs production 4
      tfchain registry fetch gs://bucket/models docs production --to /models/docs
      tfchain registry list gs://bucket/models
    """


@registry_command.command("push", short_help="Copy a version into the registry.")
@click.argument("place", metavar="REGISTRY")
@click.argument("version_path", metavar="VERSION", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name.  [default: the base path's folder]")
@click.option(
    "--lineage",
    metavar="NAME=FILE",
    multiple=True,
    help="What the version was made from, such as data=card.json; in order, may be repeated.",
)
@click.option("--stage", help="Put it in this stage as well, such as staging.")
@registry_options
def push_command(
    place: str,
    version_path: Path,
    name: str | None,
    lineage: tuple[str, ...],
    stage: str | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Copy VERSION, a folder such as saved_models/docs/4, into REGISTRY. It appears when all of its files are there.

    Pushing the same files again changes nothing; another version of the same number is refused.

    \b
    Examples:
      tfchain registry push /srv/models saved_models/docs/4
      tfchain registry push s3://bucket/models saved_models/docs/4 --key-file release.key --stage staging
    """
    from tfchain.deployment.releases.registry import check_stage

    if stage is not None:
        check_stage(stage)
    registry = open_registry(place, key_file)
    manifest = registry.push(version_path, name=name, lineage=read_lineage(lineage))
    model, version = manifest["name"], manifest["version"]
    if stage is not None:
        registry.set_stage(model, stage, version)
    if as_json:
        print_json({"manifest": manifest, "stages": registry.stages(model)})
        return
    signed = "signed" if "signature" in manifest else "not signed"
    click.echo(f"{model} version {version} is in {place}: {manifest['contents'][:12]}, {signed}")
    if stage is not None:
        click.echo(f"{stage}: {version}")


@registry_command.command("list", short_help="List models, versions and stages.")
@click.argument("place", metavar="REGISTRY")
@click.argument("name", metavar="[MODEL]", required=False)
@output_options
def list_command(place: str, name: str | None, as_json: bool) -> None:
    """List the versions in REGISTRY, of MODEL or of all models. Signatures are checked when a version is fetched.

    \b
    Examples:
      tfchain registry list gs://bucket/models
      tfchain registry list gs://bucket/models docs --json
    """
    registry = open_registry(place, None)
    models = registry.models()
    if name is not None and name not in models:
        raise InputError(
            f"The registry {place} must have the model. Received: {name!r}. There are: {', '.join(models) or 'none'}."
        )
    found = [
        {"name": model, "stages": registry.stages(model), "versions": registry.versions(model)}
        for model in ([name] if name is not None else models)
    ]
    if as_json:
        print_json({"models": found})
    elif not any(model["versions"] for model in found):
        click.echo(f"There are no versions in {place}.")
    else:
        print_table(found)


@registry_command.command("fetch", short_help="Copy a version out of the registry, and check it.")
@click.argument("place", metavar="REGISTRY")
@click.argument("name", metavar="MODEL")
@click.argument("version", metavar="VERSION|STAGE")
@click.option("--to", metavar="BASE_PATH", required=True, type=click.Path(path_type=Path), help="Where it goes.")
@registry_options
def fetch_command(place: str, name: str, version: str, to: Path, key_file: Path | None, as_json: bool) -> None:
    """Copy a version of MODEL out of REGISTRY, by its number or its stage, and check every file.

    It appears in BASE_PATH whole or not at all; one that is there with the same files is left as it is.

    \b
    Examples:
      tfchain registry fetch gs://bucket/models docs production --to /models/docs
      tfchain registry fetch /srv/models docs 4 --to saved_models/docs --key-file release.key
    """
    from tfchain.deployment.repository import parse_version

    number = parse_version(version)
    path = open_registry(place, key_file).fetch(name, version if number is None else number, to=to)
    if as_json:
        print_json({"name": name, "version": int(path.name), "path": str(path)})
    else:
        click.echo(path)


@registry_command.command("stage", short_help="Say which version is in a stage.")
@click.argument("place", metavar="REGISTRY")
@click.argument("name", metavar="MODEL")
@click.argument("stage", metavar="STAGE")
@click.argument("version", metavar="VERSION", type=int)
@registry_options
def stage_command(place: str, name: str, stage: str, version: int, key_file: Path | None, as_json: bool) -> None:
    """Put VERSION of MODEL in STAGE, such as staging or production; whatever was there before leaves it.

    \b
    Examples:
      tfchain registry stage gs://bucket/models docs production 4
    """
    registry = open_registry(place, key_file)
    registry.set_stage(name, stage, version)
    stages = registry.stages(name)
    if as_json:
        print_json({"name": name, "stages": stages})
        return
    for one, number in sorted(stages.items()):
        click.echo(f"{one}: {number}")


def open_registry(place: str, key_file: Path | None) -> "Registry":
    """Opens a registry, with the key of a file or else of the environment."""
    from tfchain.deployment.releases.registry import Registry

    return Registry(place, key_file=key_file, key=None if key_file is not None else os.environ.get(KEY_VARIABLE))


def read_lineage(words: tuple[str, ...]) -> dict[str, Any]:
    """Reads words such as `data=card.json`.

    Raises:
        InputError: if a word has another form, or a name comes twice.
    """
    lineage: dict[str, Any] = {}
    for word in words:
        name, _, file = word.partition("=")
        if not name or not file or name in lineage:
            raise InputError(
                f"--lineage must be NAME=FILE, each name once, such as data=prepared/card.json. Received: {word!r}."
            )
        lineage[name] = file
    return lineage


def print_table(models: list[dict[str, Any]]) -> None:
    """Prints a row for each version."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tfchain.cli.output import to_line

    table = Table(box=None, pad_edge=False)
    for column in ("model", "version", "stages", "contents", "signed", "registered"):
        table.add_column(column, justify="right" if column == "version" else "left")
    for model in models:
        for manifest in model["versions"]:
            stages = sorted(stage for stage, number in model["stages"].items() if number == manifest["version"])
            row = (
                model["name"],
                str(manifest["version"]),
                ", ".join(stages),
                str(manifest["contents"])[:12],
                "yes" if "signature" in manifest else "no",
                str(manifest.get("registered_at", "")),
            )
            table.add_row(*(Text(to_line(cell)) for cell in row))
    Console(highlight=False).print(table)
