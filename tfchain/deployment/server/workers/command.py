"""The command line of a worker: the supervisor's flags, and what differs."""

import os
from collections.abc import Mapping

from tfchain.deployment.server.flags import FLAGS, Flags, Value, write_flags
from tfchain.deployment.server.workers.process import MakeCommand
from tfchain.deployment.server.workers.sockets import SharedPorts
from tfchain.runtime.child_process import make_python_command

_MOST_INTERPRETERS = 4  # of LiteRT's, in one process; more do not pay


def make_worker_command(program: str, flags: Flags, ports: SharedPorts, parent_fd: int) -> MakeCommand:
    """Returns a function that makes a worker's command line from the file descriptor of its channel.

    Args:
        program: The program's module.
        flags: The supervisor's flags.
        ports: The ports of all workers.
        parent_fd: A file descriptor at whose end the worker ends.
    """
    values = {
        **flags.values,
        **share_cores(flags, len(os.sched_getaffinity(0))),
        "port": ports.grpc_port,
        "rest_api_port": ports.rest_port or 0,
        "choose_ports": False,
        "ready_fd": -1,
        "parent_fd": parent_fd,
        "parent_pid": os.getpid(),
    }
    return lambda worker_fd: make_python_command("-m", program, *_write({**values, "worker_fd": worker_fd}))


def share_cores(flags: Flags, num_cores: int) -> dict[str, Value]:
    """Returns the flags that give each worker its share of the cores, instead of all cores to each.

    Flags that are given stay as they are.

    Args:
        flags: The supervisor's flags.
        num_cores: The number of cores.
    """
    share = max(num_cores // flags.number("workers"), 1)
    chosen: dict[str, Value] = {}
    if flags.is_on("prefer_tflite_model") or flags.text("engine") in ("litert", "auto"):
        interpreters = flags.number("num_tflite_pools") or min(share, _MOST_INTERPRETERS)
        chosen["num_tflite_pools"] = interpreters
        share = max(share // interpreters, 1)
    if not flags.number("tensorflow_session_parallelism") and not flags.number("tensorflow_intra_op_parallelism"):
        chosen["tensorflow_intra_op_parallelism"] = share
    return chosen


def _write(values: Mapping[str, Value]) -> list[str]:
    """Writes flags as a command line, without those that have their default."""
    defaults = {flag.name: flag.default for flag in FLAGS}
    return write_flags({name: value for name, value in values.items() if value != defaults[name]})
