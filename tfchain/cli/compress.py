"""`tfchain compress`: makes a model small and fast as a file says."""

from pathlib import Path

import click

from tfchain.cli.output import print_json, waiting
from tfchain.cli.process import output_options


@click.command("compress", short_help="Make a model small and fast as a file says.")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@output_options
def compress_command(config: Path, as_json: bool) -> None:
    """Compress a model as the YAML file CONFIG says, and save it as a chain, which `tfchain export` takes.

    With a `dataset`, every candidate and the model in float32 are measured, and the best that loses no more than
    `max_loss` of the task's objective is kept. The file is checked as a whole before anything is loaded. Relative paths
    in CONFIG are relative to its folder.

    \b
    Keys of CONFIG:
      task      search, classification, reranking, … (an unknown one lists all), or module:Class of a
                chain of your own  [default: search]
      chain     the chain's own settings, unless `model` is a saved chain
      model     a saved chain, a folder, or a hub name
      recipes   one candidate, a list such as [{shrink: {layers: 3}}, {quantize: {precision: int8}}],
                or a list of such lists
      dataset   data with known answers to compare candidates on, in any form that the task reads
      split     the split of a folder that has several  [default: test]
      keep      smallest, fastest_query, fastest_bulk, least_memory or best  [default: smallest]
      max_loss  the largest loss of the objective, as a fraction of it  [default: 0.01]
      texts     a file of texts that recipes learn from  [default: those that the chain keeps]
      output    the new folder for the compressed chain
      report    the folder of the report and its picture  [default: beside the output]

    \b
    Examples:
      tfchain compress compress.yaml
      tfchain compress compress.yaml --json
    """
    from tfchain.jobs.compression_plan import read_compression

    plan = read_compression(config)
    with waiting("compressing"):
        from tfchain.jobs.compressing import run_compression

        report = run_compression(plan)
    if as_json:
        print_json({"chain": str(plan.output.resolve()), **report.to_dict()})
        return
    from rich.console import Console

    Console(highlight=False).print(report.to_table())
    click.echo(f"the report is in {plan.report_path}, the chain in {plan.output.resolve()}")
