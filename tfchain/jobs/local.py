"""Local workers: one process each, wired by `TF_CONFIG`, their lines merged, all ended when one fails."""

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
DRAIN_SECONDS = 2.0  # for the last lines of workers that have ended; a daemon of theirs may hold the pipe open
KILL_SECONDS = 10.0  # for the system to end a process that was killed
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome:
    """How the workers ended.

    Args:
        exit_code: 0, or that of the first worker that failed; 128 and the signal's number where one ended it.
        worker: The first worker that failed; None where all ended well.
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

    However it ends, by an error or by Ctrl-C too, no process is left.

    Args:
        command: Program and arguments, the same for all.
        num_workers: How many; of one alone `TF_CONFIG` says nothing.
        show: Takes each line that comes: the worker's number, the line, and whether it is from standard error.
        gpus_per_worker: How many GPUs of its own each worker sees. Default: each sees what this process sees.
        grace_seconds: What the others have to end by themselves (SIGTERM), before they are killed. Default: 10.

    Returns:
        The first failure, or that there was none.

    Raises:
        InputError: if a number is out of its range, or there are fewer GPUs named in `CUDA_VISIBLE_DEVICES`.
    """
    check_whole_number("num_workers", num_workers)
    environments = make_environments(os.environ, num_workers, gpus_per_worker)
    return run_processes(command, environments, show, grace_seconds=grace_seconds)


def run_processes(
    command: Sequence[str], environments: Sequence[Mapping[str, str]], show: Show, *, grace_seconds: float = 10.0
) -> Outcome:
    """As `run_workers`, with environments of their own.

    Args:
        command: Program and arguments, the same for all.
        environments: Each process's whole environment.
        show: Takes each line that comes.
        grace_seconds: What the others have to end by themselves. Default: 10.
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
    """Each worker's environment: its `TF_CONFIG`, and the GPUs that are its own."""
    base = {name: value for name, value in environment.items() if name != "TF_CONFIG"}
    base["PYTHONUNBUFFERED"] = "1"  # its lines come when they are written
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
    visible = [str(one) for one in range(needed)] if named is None else [one for one in named.split(",") if one]
    if len(visible) < needed:
        raise InputError(
            f"{num_workers} workers with {gpus_per_worker} GPUs each need {needed}. "
            f"Received: {len(visible)} in CUDA_VISIBLE_DEVICES={named}. Take fewer workers or GPUs."
        )
    return ",".join(visible[number * gpus_per_worker : (number + 1) * gpus_per_worker])


def find_free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as stack:  # all open at once, so that they differ
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


class Worker:
    """One process and the pipes it writes to.

    Args:
        number: Its place among the workers, from 0.
        command: Program and arguments.
        environment: Its whole environment.
        selector: Is told of its pipes.
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
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the workers in order
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
        """As a shell says it; None while it runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it and to all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Pipe:
    """What a worker writes to one of its streams, line by line.

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
        """The lines that are there; call it when there is something to read."""
        piece = os.read(self.stream.fileno(), 65536)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if not piece:
            self.is_open = False
            lines = [self._rest] if self._rest else []
        for line in lines:
            # A progress bar writes itself anew after each \r: its last state counts.
            yield line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")


def make_parents_death_known() -> Callable[[], None]:
    """What a new process does first: it asks Linux to end it when this one dies, by `kill -9` too."""
    library: Any = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        library.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before
            os.kill(os.getpid(), signal.SIGTERM)

    return ask


def watch(workers: Sequence[Worker], selector: selectors.BaseSelector, show: Show) -> Outcome:
    """Shows lines until all workers have ended well, or one has not."""
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
            wait_for(lambda: all(one.exit_code is not None for one in workers), selector, show, grace_seconds)
        finally:  # also where a line cannot be shown any more, or Ctrl-C comes again
            for worker in workers:
                worker.send(signal.SIGKILL)  # and what it has started, where that is still there
            for worker in workers:
                worker.process.wait(KILL_SECONDS)
        wait_for(lambda: not selector.get_map(), selector, show, DRAIN_SECONDS)
    finally:
        for pipe in (pipe for worker in workers for pipe in worker.pipes):
            pipe.stream.close()


def wait_for(
    condition: Callable[[], bool], selector: selectors.BaseSelector, show: Show, timeout_seconds: float
) -> None:
    """Shows lines until a condition holds, or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        pump(selector, show, min(POLL_SECONDS, timeout_seconds))
