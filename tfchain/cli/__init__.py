"""The command `tfchain`: one file per subcommand, none of which imports TensorFlow before it has work to do."""

from collections.abc import Sequence

import click

from tfchain import __version__
from tfchain.cli.approve import approve_command
from tfchain.cli.check import check_command
from tfchain.cli.compress import compress_command
from tfchain.cli.deploy import deploy_command
from tfchain.cli.evaluate import evaluate_command
from tfchain.cli.export import export_command
from tfchain.cli.forget import forget_command
from tfchain.cli.index import index_command
from tfchain.cli.info import info_command
from tfchain.cli.launch import launch_command
from tfchain.cli.lifecycle import lifecycle_command
from tfchain.cli.monitor import monitor_command
from tfchain.cli.plan import plan_command
from tfchain.cli.predict import predict_command
from tfchain.cli.prepare import prepare_command
from tfchain.cli.process import CommandGroup, prepare_process
from tfchain.cli.promote import promote_command, rollback_command
from tfchain.cli.registry import registry_command
from tfchain.cli.release import release_command
from tfchain.cli.releases import releases_command
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
      tfchain train classify.yaml
      tfchain predict labels "Where is my card?"

    \b
    Exit codes:
      0    done
      1    an error, reported in one line on standard error; existing files are unchanged
      2    the command line itself is wrong
      3    `tfchain release`: the gate refused the version; `tfchain promote --watch`: the canary was rolled back
      130  stopped with Ctrl-C
    """


for command in (
    *(index_command, search_command, predict_command, evaluate_command, train_command, tune_command, compress_command),
    launch_command,
    *(check_command, prepare_command, export_command, deploy_command, serve_command, info_command, forget_command),
    *(plan_command, release_command, releases_command, promote_command, rollback_command, registry_command),
    *(monitor_command, lifecycle_command, approve_command),
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
