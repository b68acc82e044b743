"""Python programs as separate processes: how each command line begins, and the environment it gets."""

import os
import sys

# Importing tensorflow_model_optimization sets it in this process's environment; child processes would use Keras 2.
_NOT_INHERITED = ("TF_USE_LEGACY_KERAS",)


def make_python_command(*arguments: str) -> list[str]:
    """Makes the command line of another process of this Python that imports nothing from the current folder.

    With `-m` and `-c`, Python searches the current folder before the standard library: a file `random.py` or `queue.py`
    that happens to lie there would be run. `-P` prevents that; the folders of `PYTHONPATH` are still searched.

    Args:
        *arguments: The rest of the command line, such as `-m` and a module's name.
    """
    return [sys.executable, "-P", *arguments]


def make_environment() -> dict[str, str]:
    """Returns this process's environment variables, without those that tfchain's child processes must not inherit."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
