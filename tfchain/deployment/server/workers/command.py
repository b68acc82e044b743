"""The command line of a worker: the supervisor's flags, and what differs."""

import os
from collections.abc import Mapping

from tfchain.deployment.server.flags import FLAGS, Flags, Value, write_flags
from tfchain.deployment.server.workers.process import MakeCommand
from tfchain.deployment.server.workers.sockets import SharedPorts
from tfchain.runtime.child_process import make_python_command


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
        "worker_cores": share_cores(flags.number("workers"), len(os.sched_getaffinity(0))),
        "port": ports.grpc_port,
        "rest_api_port": ports.rest_port or 0,
        "choose_ports": False,
        "ready_fd": -1,
        "parent_fd": parent_fd,
        "parent_pid": os.getpid(),
    }
    return lambda worker_fd: make_python_command("-m", program, *_write({**values, "worker_fd": worker_fd}))


def share_cores(num_workers: int, num_cores: int) -> int:
    """Returns the cores of each worker, at least one: its engines choose their threads as if it had no more.

    Args:
        num_workers: The number of workers.
        num_cores: The number of cores.
    """
    return max(num_cores // num_workers, 1)


def _write(values: Mapping[str, Value]) -> list[str]:
    """Writes flags as a command line, without those that have their default."""
    defaults = {flag.name: flag.default for flag in FLAGS}
    return write_flags({name: value for name, value in values.items() if value != defaults[name]})
