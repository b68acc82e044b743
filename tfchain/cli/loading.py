"""Opens saved chains of any task; the first import of TensorFlow happens here."""

from pathlib import Path
from typing import Any

import click

from tfchain.core.errors import FingerprintError, InputError


def task_option(function: Any) -> Any:
    """Adds --task to a command that opens a saved chain."""
    return click.option(
        "--task", metavar="MODULE:CLASS", help="The class of a chain of your own.  [default: DIR names its task]"
    )(function)


def load_chain(path: Path, *, engine: Any = "auto", task: str | None = None) -> Any:
    """Reads a saved chain.

    Args:
        path: The chain's folder.
        engine: The engine that runs the model. Default: `auto`.
        task: `module:Class` of a chain of your own, which the folder cannot name. Default: the folder's task.

    Returns:
        A `Chain` of the folder's task.

    Raises:
        IndexFolderError: if it is missing or damaged.
        FingerprintError: if another model made its vectors.
        InputError: if tfchain has no such task.
    """
    from tfchain.chains.chain_types import find_saved_type
    from tfchain.cli.folders import check_is_chain

    check_is_chain(path)
    kind = find_saved_type(path, task)
    try:
        return kind.load(path, engine=engine)
    except FingerprintError as error:
        raise FingerprintError(
            f"{path} was not made by the model that it now holds. Put the right model back, or run "
            f"`tfchain index DOCS --out {path} --reindex`."
        ) from error


def check_saved_task(path: Path, task: str, command: str) -> None:
    """Rejects a chain of another task, before TensorFlow is imported.

    Args:
        path: The chain's folder.
        task: The task that the command is for.
        command: The command's name.

    Raises:
        IndexFolderError: if the folder holds no saved chain.
        InputError: if the chain is for another task.
    """
    from tfchain.chains.chain_types import read_saved_task
    from tfchain.cli.folders import check_is_chain

    check_is_chain(path)
    found = read_saved_task(path)
    if found != task:
        raise InputError(
            f"`tfchain {command}` is for a chain of the task {task}. Received: {path}, of the task {found}. "
            "`tfchain predict` asks the others."
        )
