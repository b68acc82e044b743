"""Python programs as processes of their own: how each command begins."""

import os
import sys

# tensorflow_model_optimization leaves it in the environment of whoever imports it; it would give children Keras 2.
_NOT_INHERITED = ("TF_USE_LEGACY_KERAS",)


def make_python_command(*arguments: str) -> list[str]:
    """The command line of another process of this Python, one that imports nothing from the current folder.

    Python puts the current folder before the standard library for `-m` and `-c`: a file `random.py` or `queue.py` that
    happens to lie there would be run. With `-P` it does not; the folders of `PYTHONPATH` are searched all the same.

    Args:
        *arguments: What follows, such as `-m` and a module's name.
    """
    return [sys.executable, "-P", *arguments]


def make_environment() -> dict[str, str]:
    """This process's environment variables, without those that must not reach a process of tfchain's own."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
