"""Local workers: one process each, connected by `TF_CONFIG`, their output merged, all ended when one fails."""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.jobs.cluster import make_tf_config

Show = Callable[[int, str, bool], None]
POLL_SECONDS = 0.1
DRAIN_SECONDS = 2.0  # for the last lines of ended workers; a daemon of theirs may hold the pipe open
KILL_SECONDS = 10.0  # for the system to end a killed process
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome:
    """How the workers ended.

    Args:
        exit_code: 0, or that of the first worker that failed; 128 plus the signal's number if a signal ended it.
        worker: The first worker that failed; None if none did.
    """

    exit_code: int = 0
    worker: int | None = None


def run_workers(
    command: Sequence[str],
    num_workers: int,
    show: Show,
    *,
    gpus_per_worker: int | None = None,
    grace_seconds: float = 10.0,
) -> Outcome:
    """Runs a command in several processes on this machine until all have ended, or one has failed.

    No process is left behind, even after an error or Ctrl-C.

    Args:
        command: Program and arguments, the same for all.
        num_workers: The number of workers; a single worker gets no `TF_CONFIG`.
        show: Receives each line: the worker's number, the line, and whether it is from standard error.
        gpus_per_worker: How many GPUs of its own each worker sees. Default: each sees what this process sees.
        grace_seconds: Time for the others to end after SIGTERM, before they are killed. Default: 10.

    Returns:
        The first failure, or an outcome without one.

    Raises:
        InputError: if a number is out of its range, or `CUDA_VISIBLE_DEVICES` names too few GPUs.
    """
    check_whole_number("num_workers", num_workers)
    environments = make_environments(os.environ, num_workers, gpus_per_worker)
    return run_processes(command, environments, show, grace_seconds=grace_seconds)


def run_processes(
    command: Sequence[str], environments: Sequence[Mapping[str, str]], show: Show, *, grace_seconds: float = 10.0
) -> Outcome:
    """Like `run_workers`, with a given environment for each process.

    Args:
        command: Program and arguments, the same for all.
        environments: Each process's whole environment.
        show: Receives each line, as in `run_workers`.
        grace_seconds: Time for the others to end after SIGTERM, before they are killed. Default: 10.
    """
    workers: list[Worker] = []
    with selectors.DefaultSelector() as selector:
        try:
            for number, environment in enumerate(environments):
                workers.append(Worker(number, command, environment, selector))
            return watch(workers, selector, show)
        finally:
            end_all(workers, selector, show, grace_seconds)


def make_environments(
    environment: Mapping[str, str], num_workers: int, gpus_per_worker: int | None
) -> list[dict[str, str]]:
    """Makes each worker's environment: its `TF_CONFIG`, and its own GPUs."""
    base = {name: value for name, value in environment.items() if name != "TF_CONFIG"}
    base["PYTHONUNBUFFERED"] = "1"  # its lines arrive as soon as they are written
    hosts = [f"127.0.0.1:{port}" for port in find_free_ports(num_workers)]
    made = []
    for number in range(num_workers):
        own = dict(base)
        if num_workers > 1:
            own["TF_CONFIG"] = make_tf_config(hosts, number)
        if gpus_per_worker is not None:
            own["CUDA_VISIBLE_DEVICES"] = choose_gpus(environment, num_workers, number, gpus_per_worker)
        made.append(own)
    return made


def choose_gpus(environment: Mapping[str, str], num_workers: int, number: int, gpus_per_worker: int) -> str:
    """The value of `CUDA_VISIBLE_DEVICES` for one worker."""
    check_whole_number("gpus_per_worker", gpus_per_worker, least=0)
    needed = num_workers * gpus_per_worker
    named = environment.get("CUDA_VISIBLE_DEVICES")
    visible = [str(gpu) for gpu in range(needed)] if named is None else [gpu for gpu in named.split(",") if gpu]
    if len(visible) < needed:
        raise InputError(
            f"{num_workers} workers with {gpus_per_worker} GPUs each need {needed}. "
            f"Received: {len(visible)} in CUDA_VISIBLE_DEVICES={named}. Take fewer workers or GPUs."
        )
    return ",".join(visible[number * gpus_per_worker : (number + 1) * gpus_per_worker])


def find_free_ports(count: int) -> list[int]:
    """Finds ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as stack:  # all open at once, so that they differ
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [opened.getsockname()[1] for opened in sockets]


class Worker:
    """One process and the pipes it writes to.

    Args:
        number: Its index among the workers, from 0.
        command: Program and arguments.
        environment: Its whole environment.
        selector: Its pipes are registered here.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        selector: selectors.BaseSelector,
    ) -> None:
        self.number = number
        self.process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches only this process, which then ends the workers in order
            preexec_fn=make_parents_death_known(),
        )
        self.pipes = [
            Pipe(self, stream, is_error)
            for stream, is_error in ((self.process.stdout, False), (self.process.stderr, True))
        ]
        for pipe in self.pipes:
            selector.register(pipe.stream, selectors.EVENT_READ, pipe)

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell reports it; None while it runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Pipe:
    """One of a worker's output streams, read line by line.

    Args:
        worker: The worker.
        stream: The end to read from.
        is_error: Whether it is standard error.
    """

    def __init__(self, worker: Worker, stream: IO[bytes] | None, is_error: bool) -> None:
        assert stream is not None
        self.worker = worker
        self.stream = stream
        self.is_error = is_error
        self.is_open = True
        self._rest = b""

    def read(self) -> Iterator[str]:
        """Returns the available lines; call it when the stream is readable."""
        piece = os.read(self.stream.fileno(), 65536)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if not piece:
            self.is_open = False
            lines = [self._rest] if self._rest else []
        for line in lines:
            # A progress bar rewrites itself after each \r: only its last state counts.
            yield line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")


def make_parents_death_known() -> Callable[[], None]:
    """Returns what a new process runs first: it asks Linux to end it when this process dies, even by `kill -9`."""
    library: Any = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        library.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before
            os.kill(os.getpid(), signal.SIGTERM)

    return ask


def watch(workers: Sequence[Worker], selector: selectors.BaseSelector, show: Show) -> Outcome:
    """Shows lines until all workers have succeeded, or one has failed."""
    while True:
        pump(selector, show, POLL_SECONDS)
        codes = [worker.exit_code for worker in workers]
        for worker, code in zip(workers, codes, strict=True):
            if code:
                return Outcome(code, worker.number)
        if all(code == 0 for code in codes):
            return Outcome()


def pump(selector: selectors.BaseSelector, show: Show, timeout_seconds: float) -> None:
    """Shows what the workers have written, or waits for it."""
    if not selector.get_map():
        time.sleep(timeout_seconds)
        return
    for key, _ in selector.select(timeout_seconds):
        pipe: Pipe = key.data
        for line in pipe.read():
            show(pipe.worker.number, line, pipe.is_error)
        if not pipe.is_open:
            selector.unregister(pipe.stream)
            pipe.stream.close()


def end_all(workers: Sequence[Worker], selector: selectors.BaseSelector, show: Show, grace_seconds: float) -> None:
    """Ends the workers that still run, shows their last lines, and leaves no process behind."""
    try:
        try:
            for worker in workers:
                if worker.exit_code is None:
                    worker.send(signal.SIGTERM)
            wait_for(lambda: all(worker.exit_code is not None for worker in workers), selector, show, grace_seconds)
        finally:  # also if a line can no longer be shown, or after a second Ctrl-C
            for worker in workers:
                worker.send(signal.SIGKILL)  # and what it started, if that still runs
            for worker in workers:
                worker.process.wait(KILL_SECONDS)
        wait_for(lambda: not selector.get_map(), selector, show, DRAIN_SECONDS)
    finally:
        for pipe in (pipe for worker in workers for pipe in worker.pipes):
            pipe.stream.close()


def wait_for(
    condition: Callable[[], bool], selector: selectors.BaseSelector, show: Show, timeout_seconds: float
) -> None:
    """Shows lines until a condition holds or the time is up."""
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        pump(selector, show, min(POLL_SECONDS, timeout_seconds))
