"""The command `tfchain`: one file per subcommand, none of which imports TensorFlow before it has work to do."""

from collections.abc import Sequence

import click

from tfchain import __version__
from tfchain.cli.check import check_command
from tfchain.cli.evaluate import evaluate_command
from tfchain.cli.export import export_command
from tfchain.cli.forget import forget_command
from tfchain.cli.index import index_command
from tfchain.cli.info import info_command
from tfchain.cli.launch import launch_command
from tfchain.cli.prepare import prepare_command
from tfchain.cli.process import CommandGroup, prepare_process
from tfchain.cli.search import search_command
from tfchain.cli.serve import serve_command
from tfchain.cli.train import train_command
from tfchain.cli.tune import tune_command


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tfchain", message="%(prog)s %(version)s")
def commands() -> None:
    """Neural search on TensorFlow and Keras: documents in, answers out, over TensorFlow Serving's protocols.

    \b
    Examples:
      tfchain index docs/ --model path/to/all-MiniLM-L6-v2 --out index
      tfchain search index "how do I merge two sorted lists"
      tfchain export index --out saved_models/docs
      tfchain serve saved_models/docs

    \b
    Exit codes:
      0    done
      1    an error, reported in one line on standard error; existing files are unchanged
      2    the command line itself is wrong
      130  stopped with Ctrl-C
    """


for command in (
    *(index_command, search_command, evaluate_command, train_command, tune_command, launch_command),
    *(check_command, prepare_command, export_command, serve_command, info_command, forget_command),
):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit code.

    Args:
        arguments: The command line without the program's name; None for `sys.argv`.

    Raises:
        SystemExit: always, with the exit code.
    """
    prepare_process()
    commands.main(args=None if arguments is None else list(arguments), prog_name="tfchain")
