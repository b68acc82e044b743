"""Starts the workers, starts them again when they end, passes on what one asks of all, and stops them."""

import contextlib
import logging
import math
import os
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tfchain.core.errors import ServerError
from tfchain.deployment.server.workers.group_calls import GroupCalls
from tfchain.deployment.server.workers.messages import Message
from tfchain.deployment.server.workers.pauses import Pauses
from tfchain.deployment.server.workers.process import MakeCommand, WorkerProcess
from tfchain.deployment.server.workers.shared_state import SharedConfig, SharedCounts

logger = logging.getLogger(__name__)

COUNTS_SECONDS = 2.0  # how long workers may take to tell their counts
_SLACK_SECONDS = 5.0  # beyond the time limit that the workers keep themselves
_LOOK_SECONDS = 1.0  # between two looks at the processes, should the system not tell of their ends
_WAKE = "wake"


class Supervisor:
    """Keeps a number of workers running. It is one loop in one thread, and serves nothing itself.

    Args:
        make_command: Makes a worker's command line from the file descriptor of its end of the channel.
        num_workers: The number of workers.
        pass_fds: The file descriptors that workers inherit.
        settings: What all workers are told in their first message. Default: nothing.
        on_complete: Called once, as soon as all workers are ready. Default: nothing.
        on_stop: Called when the stop begins. Default: nothing.
        make_pauses: Makes the pauses of a worker. Default: from a tenth of a second to ten.
        stop_seconds: How long workers may take to finish their requests before they are killed. Default: 60.
    """

    def __init__(
        self,
        make_command: MakeCommand,
        *,
        num_workers: int,
        pass_fds: Sequence[int] = (),
        settings: Message | None = None,
        on_complete: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
        make_pauses: Callable[[], Pauses] = Pauses,
        stop_seconds: float = 60.0,
    ) -> None:
        self._make_command = make_command
        self._num_workers = num_workers
        self._pass_fds = tuple(pass_fds)
        self._settings = settings or {}
        self._on_complete = on_complete
        self._on_stop = on_stop
        self._stop_seconds = stop_seconds
        self._pauses = {number: make_pauses() for number in range(1, num_workers + 1)}
        self._workers: dict[int, WorkerProcess] = {}
        self._due: dict[int, float] = dict.fromkeys(self._pauses, 0.0)  # when to start a worker
        self._was_ready = False  # any worker
        self._was_complete = False
        self._is_told_to_stop = False
        self._kill_time: float | None = None
        self._calls = GroupCalls()
        self._config = SharedConfig()
        self._counts = SharedCounts()
        self._wake_source, self._wake_sink = os.pipe()
        os.set_blocking(self._wake_sink, False)

    @property
    def pids(self) -> dict[int, int]:
        """The running workers' process ids by number."""
        return {number: worker.pid for number, worker in list(self._workers.items())}

    def stop(self) -> None:
        """Ends `run` after the running requests; may be called by a signal handler, by any thread, and repeatedly."""
        self._is_told_to_stop = True
        with contextlib.suppress(OSError):  # full: it wakes up anyway; closed: it has ended
            os.write(self._wake_sink, b".")

    def run(self) -> None:
        """Starts the workers, and keeps them running until `stop`.

        Raises:
            ServerError: if all workers end before any was ready.
        """
        with selectors.DefaultSelector() as selector:
            self._selector = selector
            selector.register(self._wake_source, selectors.EVENT_READ, _WAKE)
            try:
                self._start_due()
                while self._workers or not self._is_told_to_stop:
                    self._wait()
                    self._step()
            finally:
                self._kill_all()
                os.close(self._wake_source)
                sink, self._wake_sink = self._wake_sink, -1
                os.close(sink)

    def _step(self) -> None:
        for worker in list(self._workers.values()):
            if worker.has_ended:
                self._take_end(worker)
        self._calls.expire()
        if not self._is_told_to_stop:
            self._start_due()
        elif self._kill_time is None:
            self._kill_time = time.monotonic() + self._stop_seconds
            self._on_stop()
            for worker in self._workers.values():
                worker.terminate()
        elif time.monotonic() >= self._kill_time:
            for worker in self._workers.values():
                logger.warning("%s has not ended in %.0f s, and is killed", worker, self._stop_seconds)
                worker.kill()
            self._kill_time = math.inf

    def _wait(self) -> None:
        """Waits until something happens, or is due, and takes what the workers say."""
        for worker in self._workers.values():
            if worker.is_listening:
                writes = selectors.EVENT_WRITE if worker.channel.has_unsent else 0
                self._selector.modify(worker.channel.stream, selectors.EVENT_READ | writes, worker)
        kill_time = math.inf if self._kill_time is None else self._kill_time
        next_time = min(*self._due.values(), self._calls.next_deadline(), kill_time, math.inf)
        seconds = min(max(next_time - time.monotonic(), 0.0), _LOOK_SECONDS)
        for key, _ in self._selector.select(seconds):
            if key.data is _WAKE:
                os.read(self._wake_source, 4096)
            elif key.fileobj != key.data.end_fd:
                key.data.channel.flush()
                self._take_messages(key.data)

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        try:
            worker = WorkerProcess(number, self._make_command, self._pass_fds)
        except OSError as error:  # no memory, or too many processes
            if not self._was_ready:
                raise
            logger.error("worker %d could not be started: %s", number, error)
            self._start_later(number, 0.0)
            return
        self._workers[number] = worker
        self._selector.register(worker.channel.stream, selectors.EVENT_READ, worker)
        if worker.end_fd is not None:
            self._selector.register(worker.end_fd, selectors.EVENT_READ, worker)
        state = {"number": number, "is_complete": self._was_complete, **self._config.settings()}
        worker.send({"kind": "settings", **self._settings, **state})
        for call in self._calls.pending("reload"):  # which may be in force in a moment
            self._calls.send(call, worker)

    def _take_messages(self, worker: WorkerProcess) -> None:
        messages, is_open = worker.channel.receive()
        if not is_open and worker.is_listening:
            worker.is_listening = False
            self._selector.unregister(worker.channel.stream)
        for message in messages:
            match message["kind"]:
                case "ready":
                    self._take_ready(worker)
                case "failed":
                    worker.error = message["error"]
                case "counts":
                    worker.counts = message["body"]
                case "done":
                    self._calls.take(worker, message["id"], message["body"])
                case "ask":
                    self._take_question(worker, message)

    def _take_ready(self, worker: WorkerProcess) -> None:
        worker.ready_time = time.monotonic()
        logger.info("%s is ready", worker)
        if not self._was_ready:
            self._was_ready = True
            for number in self._pauses.keys() - self._workers.keys():  # those that ended before any was ready
                self._start_later(number, 0.0)
        if not self._was_complete and len(list(self._ready())) == self._num_workers:
            self._was_complete = True  # the workers know it before it is reported
            self._calls.begin("complete", None, lambda _: self._on_complete(), asked=self._ready(), seconds=5.0)

    def _take_question(self, worker: WorkerProcess, message: Message) -> None:
        answer = partial(self._answer, worker, message["id"])
        body = message["body"]
        if message["what"] == "counts":

            def finish_counts(answers: dict[int, Any]) -> None:
                answer(self._counts.collect(self._ready(), answers))

            self._calls.begin("counts", None, finish_counts, asked=self._ready(), seconds=COUNTS_SECONDS)
            return

        def finish_reload(answers: dict[int, Any]) -> None:
            self._config.take(body, answers)
            answer({"asked": asked, "answers": answers})

        seconds = message["seconds"]
        asked = [worker.number for worker in self._ready()]
        self._calls.begin(
            "reload",
            {"config": body, "seconds": seconds},
            finish_reload,
            asked=self._ready(),
            told=self._workers.values(),  # those that are starting take it up once they have started
            seconds=None if seconds is None else seconds + _SLACK_SECONDS,
        )

    def _answer(self, worker: WorkerProcess, number: int, body: Any) -> None:
        worker.send({"kind": "result", "id": number, "body": body})

    def _take_end(self, worker: WorkerProcess) -> None:
        self._take_messages(worker)  # its last words
        del self._workers[worker.number]
        ready_seconds = worker.ready_seconds
        self._forget(worker)
        if self._is_told_to_stop:
            return
        logger.error("%s %s", worker, worker.describe_end())
        if self._was_ready:
            self._start_later(worker.number, ready_seconds)
        elif not self._workers:
            raise ServerError(worker.error or f"No worker could start. The last, {worker}, {worker.describe_end()}.")

    def _start_later(self, number: int, ready_seconds: float) -> None:
        pause = self._pauses[number].after(ready_seconds)
        logger.info("worker %d is started again in %.1f s", number, pause)
        self._due[number] = time.monotonic() + pause
        self._counts.count_restart()

    def _ready(self) -> Iterator[WorkerProcess]:
        return (worker for worker in self._workers.values() if worker.is_ready)

    def _forget(self, worker: WorkerProcess) -> None:
        if worker.is_listening:
            self._selector.unregister(worker.channel.stream)
        if worker.end_fd is not None:
            self._selector.unregister(worker.end_fd)
        worker.is_listening = False
        self._counts.keep(worker)
        self._calls.forget(worker)
        worker.close()

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        while self._workers:
            _, worker = self._workers.popitem()
            worker.wait()
            worker.close()
