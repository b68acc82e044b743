"""`tfchain export`: writes the next version of a SavedModel from a saved chain."""

from pathlib import Path

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import engine_option, output_options


@click.command("export", short_help="Write a version for TensorFlow Serving.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="BASE_PATH",
    type=click.Path(path_type=Path),
    help="The folder of the versions 1, 2, …  [default: saved_models/NAME]",
)
@click.option("--name", default="search", show_default=True, help="The model's name, for the default of --out.")
@click.option("-k", "--top-k", type=int, default=10, show_default=True, help="How many documents a search returns.")
@click.option(
    "--signatures",
    type=click.Choice(["text", "ids"]),
    default="text",
    show_default=True,
    help="text: search, embed and embed_ids. ids: only embed_ids, for servers without TF Text's ops.",
)
@engine_option
@output_options
def export_command(
    directory: Path, out: Path | None, name: str, top_k: int, signatures: str, engine: str, as_json: bool
) -> None:
    """Write DIR as the next version that a stock TensorFlow Serving loads, and print the version's folder.

    Before the version appears, its ops are compared with TensorFlow Serving's, and its answers with those of DIR.

    \b
    Examples:
      tfchain export index
      tfchain export index --out saved_models/docs --top-k 20
    """
    from tfchain.core.errors import InputError
    from tfchain.deployment.arguments import check_base_path

    if top_k < 1:
        raise InputError(f"`--top-k` must be at least 1. Received: {top_k}. Ask for one hit or more.")
    if out is not None:
        check_base_path(out)
    with waiting("loading the index"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine)
    with waiting("exporting, and comparing the answers"):
        version = chain.export(out, top_k=top_k, signatures=signatures, name=name)
    if as_json:
        from tfchain.cli.folders import describe_version

        print_json(describe_version(version))
    else:
        click.echo(version)
