"""The program `tfchain-model-server`: the embedded server, with the int8 kernels as its native engine, and monitors.

`tfchain.deployment` knows neither models nor monitors, so both are handed in here.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tfchain.chains.server_monitors import find_monitor
from tfchain.deployment.server import main as server

if TYPE_CHECKING:
    from tfchain.core.native import Answer

PROGRAM = "tfchain.chains.model_server"  # to start it with `python -m`


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; the argument and the result are those of `tfchain.deployment.server.main.main`.

    NumPy's products, with which the native engine searches, run on the thread of their request: requests run at the
    same time anyway, and a product on several threads waits for the slowest of them, a hundred times as long as it
    takes where other programs use the processor too. The environment variable `OPENBLAS_NUM_THREADS` says otherwise.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy reads it when it is imported
    from tfchain.core.native import NativeEngine

    native = NativeEngine(find_obstacle, load)
    return server.main(arguments, native=native, program=PROGRAM, monitor=find_monitor)


def find_obstacle() -> str | None:
    """Returns why the int8 kernels cannot run in this process; None if they can."""
    from tfchain.models import native_library

    return native_library.find_obstacle()


def load(path: Path, *, num_threads: int | None = None) -> "Mapping[str, Answer]":
    """Reads a version's files for the kernels; see `tasks.native_version.load_answers`."""
    from tfchain.tasks.native_version import load_answers

    return load_answers(path, num_threads=num_threads)


def run() -> NoReturn:
    """Runs the server as the process's program; see `tfchain.deployment.server.main.run`."""
    server.run(main)


if __name__ == "__main__":
    run()
