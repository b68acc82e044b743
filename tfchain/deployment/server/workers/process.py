"""A worker as its supervisor sees it: a process, a channel, and what is known about it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from tfchain.deployment.server.workers.messages import Channel, Message
from tfchain.runtime.child_process import make_environment

MakeCommand = Callable[[int], list[str]]  # the file descriptor of the worker's end of the channel → a command line


class WorkerProcess:
    """A worker's process, from its start to its end.

    It has a process group of its own: Ctrl-C in a terminal reaches the supervisor alone, which stops its workers.

    Args:
        number: The worker's number, from 1; the process that replaces this one has the same.
        make_command: Makes the command line.
        pass_fds: The file descriptors that the process inherits, besides its channel's.
    """

    def __init__(self, number: int, make_command: MakeCommand, pass_fds: Sequence[int]) -> None:
        self.number = number
        self.ready_time: float | None = None
        self.error = ""
        self.counts: Any = None  # the last that it told
        self.is_listening = True  # to its channel, until that ends
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    make_command(theirs.fileno()),
                    env=make_environment(),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(*pass_fds, theirs.fileno()),
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
        self.channel = Channel(ours)
        self.end_fd: int | None = None  # readable at the end of the process; without it, the end is noticed a bit later
        with contextlib.suppress(OSError):
            self.end_fd = os.pidfd_open(self._process.pid)

    def __str__(self) -> str:
        return f"worker {self.number} (process {self._process.pid})"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        return self.ready_time is not None

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def ready_seconds(self) -> float:
        """How long it has been ready; 0 if it is not."""
        return 0.0 if self.ready_time is None else time.monotonic() - self.ready_time

    def send(self, message: Message) -> None:
        """Sends a message."""
        self.channel.send(message)

    def describe_end(self) -> str:
        """Returns how the process has ended: by its own error, by an exit code, or by a signal."""
        code = self._process.poll()
        if self.error:
            return f"could not start: {self.error}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
            return f"was ended by signal {-code}"
        return f"has ended with exit code {code}"

    def terminate(self) -> None:
        """Tells it to finish its requests and end."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Waits for its end, after `kill`."""
        self._process.wait()

    def close(self) -> None:
        """Closes the channel, after the process's end."""
        self.channel.close()
        if self.end_fd is not None:
            os.close(self.end_fd)
            self.end_fd = None
