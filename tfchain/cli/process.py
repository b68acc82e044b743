"""What every command shares: quiet libraries, logging, options, and errors that become exit codes."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tfchain.core.errors import TfchainError

Function = TypeVar("Function", bound=Callable[..., Any])


class Failure(click.ClickException):
    """Ends the command with exit code 1 and one line on standard error.

    Args:
        message: What went wrong.
    """

    exit_code = 1
    word = "error"

    def show(self, file: Any = None) -> None:
        click.echo(f"{self.word}: {self.message}", file=file, err=True)


class Interrupted(Failure):
    """Ends the command after Ctrl-C, with the exit code that a shell reports for it.

    Args:
        message: What was done so far.
    """

    exit_code = 130
    word = "interrupted"


class CommandGroup(click.Group):
    """A group whose commands may raise `TfchainError`, `OSError` and `KeyboardInterrupt`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TfchainError as error:
            raise Failure(str(error)) from error
        except BrokenPipeError:  # `tfchain search … | head`: click ends it silently
            raise
        except OSError as error:
            place = f": {error.filename}" if error.filename else ""
            raise Failure(f"{error.strerror or error}{place}") from error
        except KeyboardInterrupt as error:
            raise Interrupted("Existing files are unchanged.") from error


class EchoHandler(logging.Handler):
    """Writes log records to standard error in this command's own style."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


def prepare_process() -> None:
    """Keeps the libraries' own messages off standard error; call it once, before TensorFlow is imported."""
    from tfchain.deployment.server.quiet import silence_tensorflow
    from tfchain.runtime.allocator import keep_memory_between_steps

    # transformers warns about things that do not concern a user of this command.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    silence_tensorflow()
    keep_memory_between_steps(os.environ)
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def set_log_level(context: click.Context, parameter: click.Parameter, is_verbose: bool) -> None:
    """Shows tfchain's own log: warnings, and with --verbose what it does."""
    logger = logging.getLogger("tfchain")
    for handler in [present for present in logger.handlers if isinstance(present, EchoHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(EchoHandler())
    logger.setLevel(logging.INFO if is_verbose else logging.WARNING)


def output_options(function: Function) -> Function:
    """Adds --json and --verbose to a command."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
    verbose = click.option(
        *("-v", "--verbose"),
        is_flag=True,
        expose_value=False,
        callback=set_log_level,
        help="Log progress on standard error.",
    )
    return as_json(verbose(function))


def engine_option(function: Function) -> Function:
    """Adds --engine to a command that encodes texts."""
    return click.option(
        "--engine",
        type=click.Choice(["auto", "tensorflow", "litert", "native"]),
        default="auto",
        show_default=True,
        help="The engine that runs the model. LiteRT is faster on a CPU; it converts a model once, in seconds. "
        "'native' uses tfchain's own kernels, for a model saved in int8.",
    )(function)


def served_engine_option(function: Function) -> Function:
    """Adds --engine to a command that loads a version, as a server does."""
    return click.option(
        "--engine",
        type=click.Choice(["auto", "native", "litert", "tensorflow"]),
        default="auto",
        show_default=True,
        help="What computes; the one that serves, as vectors of another precision differ.",
    )(function)
