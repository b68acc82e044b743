"""`tfchain export`: writes the next version of a SavedModel from a saved chain."""

import inspect
from pathlib import Path

import click

from tfchain.cli.loading import task_option
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
@click.option("--name", help="The model's name, for the default of --out.  [default: the task's, such as search]")
@click.option(
    *("-k", "--top-k"),
    type=int,
    help="How many documents a search returns, or labels a classification.  [default: the task's: 10, or 5]",
)
@click.option(
    "--signatures",
    type=click.Choice(["text", "ids"]),
    default="text",
    show_default=True,
    help="text: all of the task's. ids: only embed_ids, for servers without TF Text's ops.",
)
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Queries (.txt, .jsonl, .csv, .tsv, or a BEIR folder), to watch the version for drift and by canaries.",
)
@task_option
@engine_option
@output_options
def export_command(
    directory: Path,
    out: Path | None,
    name: str | None,
    top_k: int | None,
    signatures: str,
    reference: Path | None,
    task: str | None,
    engine: str,
    as_json: bool,
) -> None:
    """Write DIR as the next version that a stock TensorFlow Serving loads, and print the version's folder.

    Before the version appears, its ops are compared with TensorFlow Serving's, and its answers with those of DIR.

    \b
    Examples:
      tfchain export index
      tfchain export index --out saved_models/docs --top-k 20
      tfchain export index --reference asked.txt
    """
    from tfchain.core.errors import InputError
    from tfchain.deployment.arguments import check_base_path

    if top_k is not None and top_k < 1:
        raise InputError(f"`--top-k` must be at least 1. Received: {top_k}. Ask for one or more.")
    if out is not None:
        check_base_path(out)
    with waiting("loading the chain"):
        from tfchain.cli.loading import load_chain

        chain = load_chain(directory, engine=engine, task=task)
    options = {} if top_k is None else {"top_k": top_k}
    if options and "top_k" not in inspect.signature(chain.export).parameters:
        raise InputError(f"`--top-k` is not for the task {chain.task.name}. Received: {top_k}. Leave it out.")
    with waiting("exporting, and comparing the answers"):
        version = chain.export(out, signatures=signatures, name=name, reference=reference, **options)
    if as_json:
        from tfchain.cli.folders import describe_version

        print_json(describe_version(version))
    else:
        click.echo(version)
