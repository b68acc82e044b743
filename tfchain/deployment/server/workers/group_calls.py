"""What all workers are asked at once: who has still to answer, and when to go on without them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tfchain.deployment.server.workers.process import WorkerProcess

Finish = Callable[[dict[int, Any]], None]  # takes the answers by worker number


@dataclass(slots=True)
class GroupCall:
    """One question to several workers.

    Args:
        number: The number by which answers refer to it.
        what: What is asked, such as `counts`.
        body: The question's value.
        finish: Takes the answers.
        deadline: The monotonic time after which missing answers are given up.
        waiting: The workers that have still to answer.
    """

    number: int
    what: str
    body: Any
    finish: Finish
    deadline: float
    waiting: set[WorkerProcess]
    answers: dict[int, Any] = field(default_factory=dict)


class GroupCalls:
    """The questions whose answers are not complete yet."""

    def __init__(self) -> None:
        self._calls: dict[int, GroupCall] = {}
        self._last_number = 0

    def begin(
        self,
        what: str,
        body: Any,
        finish: Finish,
        *,
        asked: Iterable[WorkerProcess],
        told: Iterable[WorkerProcess] = (),
        seconds: float | None = None,
    ) -> None:
        """Asks workers; `finish` is called once with what they answer, maybe before this returns.

        Args:
            what: What is asked.
            body: The question's value.
            finish: Takes the answers by worker number; those that ended or were too slow are missing.
            asked: The workers to wait for.
            told: Workers that get the question, too, without being waited for.
            seconds: The time limit. Default: None, no limit.
        """
        self._last_number += 1
        asked = set(asked)
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        call = GroupCall(self._last_number, what, body, finish, deadline, asked)
        self._calls[call.number] = call
        for worker in asked | set(told):
            self.send(call, worker)
        self._finish_if_complete(call)

    def send(self, call: GroupCall, worker: WorkerProcess) -> None:
        """Sends a question to a worker, which need not be among those that are waited for."""
        worker.send({"kind": "do", "id": call.number, "what": call.what, "body": call.body})

    def pending(self, what: str) -> Iterator[GroupCall]:
        """Returns the questions of a kind that are not complete, oldest first."""
        return (call for call in self._calls.values() if call.what == what)

    def take(self, worker: WorkerProcess, number: int, answer: Any) -> None:
        """Takes a worker's answer; one that nobody waits for is dropped."""
        call = self._calls.get(number)
        if call is not None and worker in call.waiting:
            call.waiting.discard(worker)
            call.answers[worker.number] = answer
            self._finish_if_complete(call)

    def forget(self, worker: WorkerProcess) -> None:
        """Waits no longer for a worker, which has ended."""
        for call in list(self._calls.values()):
            call.waiting.discard(worker)
            self._finish_if_complete(call)

    def expire(self) -> None:
        """Finishes the questions whose time is up with the answers that are there."""
        now = time.monotonic()
        for call in list(self._calls.values()):
            if call.deadline <= now:
                call.waiting.clear()
                self._finish_if_complete(call)

    def next_deadline(self) -> float:
        """Returns the monotonic time at which `expire` has something to do; infinity without any."""
        return min((call.deadline for call in self._calls.values()), default=math.inf)

    def _finish_if_complete(self, call: GroupCall) -> None:
        if not call.waiting and self._calls.pop(call.number, None) is not None:
            call.finish(call.answers)
