"""`tfchain forget`: removes documents from saved chains, prepared data, logs and versions."""

from pathlib import Path

import click

from tfchain.cli.output import print_json, print_values
from tfchain.cli.process import output_options


@click.command("forget", short_help="Delete documents for good, with a receipt.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    *("--in", "paths"),
    metavar="PATH",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A saved chain, a folder or file of records, or a base path of versions; may be repeated.",
)
@click.option("--delete-versions", is_flag=True, help="Delete exported versions that hold one of the documents.")
@click.option("--receipt", metavar="FILE", type=click.Path(path_type=Path), help="Where to write the receipt, as JSON.")
@output_options
def forget_command(
    ids: tuple[str, ...], paths: tuple[Path, ...], delete_versions: bool, receipt: Path | None, as_json: bool
) -> None:
    """Remove documents from every file below the PATHs, and report what still holds one.

    A document is found by its id, by the ids of its parts (ID#3), and by its text, which is read from the saved chains
    among the PATHs. Files are replaced whole. A version cannot be changed: export a new one, then use
    --delete-versions.

    \b
    Examples:
      tfchain forget letters/anna.txt --in index --in prepared --receipt receipt.json
      tfchain forget 4711 4712 --in index --in saved_models/docs --delete-versions
    """
    from tfchain.chains.forget import forget

    done = forget(ids, paths, versions="delete" if delete_versions else "report")
    if receipt is not None:
        done.write(receipt)
    if as_json:
        print_json(done.to_dict())
        return
    print_values({"removed": done.removed, "receipt": None if receipt is None else str(receipt)})
    for place in done.places:
        click.echo(f"{place['path']}: {place['removed']} ({place['kind']})")
    for left in done.remaining:
        click.echo(f"{left['path']} still holds a document. {left['advice']}", err=True)
