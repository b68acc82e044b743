"""tfchain's own scheduler: no timer and no threads; requests that wait for an engine run together when it is free.

The thread of a request does the work. The first one that finds an engine idle runs at once. Others wait; when a batch
ends, the thread of the request that has waited longest takes over the engine, and runs what waits with it. A request
alone pays two uncontended locks, and no switch between threads.
"""

import enum
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from tfchain.deployment.server.batching.packing import Size, pack
from tfchain.deployment.server.batching.statistics import BatchingStatistics, BatchRecord
from tfchain.deployment.server.status import Code, StatusError
from tfchain.runtime.fork import renew_after_fork

logger = logging.getLogger(__name__)

MAX_TOKENS = 2048  # in a batch of several requests: more is not faster (benchmarks/batches.py)
_LONGEST_WAIT_SECONDS = 60.0  # then a waiting thread looks again, whatever has happened to the others


class _State(enum.Enum):
    WAITING = "in the queue"
    LEADING = "has an engine, and runs the next batch"
    RUNNING = "in a batch of another thread"
    ENDED = "has a result, an error, or nobody who waits for it"


class Task:
    """A request for the scheduler; used once.

    Args:
        key: What only requests of one batch have in common; its first element is the signature's name.
        request: The request, for the function that runs batches.
        num_rows: The number of its rows.
        deadline: The time of the scheduler's clock after which nobody wants the answer; None for no limit.
    """

    __slots__ = (
        "arrival", "deadline", "error", "is_alone", "key", "num_rows", "num_tokens", "request", "result", "start",
        "state", "wake_up",
    )  # fmt: skip

    def __init__(self, key: tuple[Hashable, ...], request: Any, num_rows: int, deadline: float | None = None) -> None:
        self.key = key
        self.request = request
        self.num_rows = num_rows
        self.deadline = deadline
        self.num_tokens = 0
        self.arrival = 0.0  # when it began to wait; 0 if it ran at once
        self.start = 0.0  # when its batch began, if it waited
        self.is_alone = False
        self.state = _State.WAITING
        self.result: Any = None
        self.error: Exception | None = None
        self.wake_up: Any = None  # a lock that is held while the request waits

    def is_expired(self, now: float) -> bool:
        """Returns whether the deadline has passed."""
        return self.deadline is not None and now >= self.deadline


class TokenScheduler:
    """Packs the waiting requests of a version into batches by their tokens.

    The request that has waited longest is in the next batch, so none starves. Requests of one key alone share a batch.
    A request whose deadline passes before it runs is not run. If a batch of several requests fails, each runs again by
    itself: an input that makes the model fail does so for its own client only.

    Args:
        execute: Runs tasks of one key; returns their results in order.
        measure: Returns the tokens of the longest row of a task. It is called only for tasks that wait.
        num_slots: The number of batches that run at the same time: the model's engines. Default: 1.
        max_tokens: The most tokens in a batch of several requests, padding included. Default: 2048.
        statistics: The counters. Default: new ones.
        clock: The time in seconds. Default: `time.monotonic`.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Task]], Sequence[Any]],
        measure: Callable[[Task], int],
        *,
        num_slots: int = 1,
        max_tokens: int = MAX_TOKENS,
        statistics: BatchingStatistics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.statistics = statistics or BatchingStatistics()
        self._execute = execute
        self._measure = measure
        self._num_slots = num_slots
        self._max_tokens = max_tokens
        self._clock = clock
        self._is_closed = False
        self._start_empty()
        renew_after_fork(self)

    def submit(self, task: Task) -> Any:
        """Runs a task, with others if no engine is idle, and returns its result.

        Raises:
            StatusError: DEADLINE_EXCEEDED if its deadline passes first; UNAVAILABLE after `close`.
            Exception: what `execute` raises for this task.
        """
        with self._lock:
            is_leader = self._take_slot()
        if not is_leader:
            task.num_tokens = self._measure(task)
            task.arrival = self._clock()
            task.wake_up = threading.Lock()
            task.wake_up.acquire()
            with self._lock:
                is_leader = self._take_slot()
                if not is_leader:
                    self._waiting.append(task)
                    self.statistics.queue_length = len(self._waiting)
        if is_leader:
            return self._lead(task, [task])
        self._wait(task)
        if task.state is _State.LEADING:
            return self._lead(task, self._take_batch(task))
        if task.error is not None:
            raise task.error
        return task.result

    def close(self) -> None:
        """Refuses further tasks, and returns when those accepted before have ended."""
        with self._lock:
            self._is_closed = True
            while self._num_running:  # an engine is given back only when nothing waits
                self._idle.wait(1.0)

    def after_fork(self) -> None:
        """Forgets the requests of the parent, whose threads are not in this process."""
        self._start_empty()

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Task] = deque()
        self._num_running = 0
        self.statistics.queue_length = self.statistics.num_running = 0

    def _take_slot(self) -> bool:
        """Takes an idle engine, if there is one; the lock is held."""
        if self._is_closed:
            raise StatusError(Code.UNAVAILABLE, "The version is being unloaded.")
        if self._num_running >= self._num_slots:
            return False
        self._num_running += 1
        self.statistics.num_running = self._num_running
        return True

    def _wait(self, task: Task) -> None:
        """Waits until the task has ended, or its thread is to lead the next batch.

        Raises:
            StatusError: if the deadline passes first.
        """
        while True:
            left = _LONGEST_WAIT_SECONDS
            if task.deadline is not None:
                left = min(left, max(task.deadline - self._clock(), 0.0))
            if task.wake_up.acquire(timeout=left):
                return
            with self._lock:
                if not task.is_expired(self._clock()) or task.state in (_State.LEADING, _State.ENDED):
                    continue  # in the latter case the lock is released already
                record = None
                if task.state is _State.WAITING:
                    self._waiting.remove(task)
                    record = self._count_drop(task)
                task.state = _State.ENDED  # a batch that runs already goes on without anybody who waits for this task
            if record is not None:
                self.statistics.tell(record)
            raise deadline_exceeded()

    def _take_batch(self, leader: Task) -> list[Task]:
        """Takes the leader's batch out of the queue, and drops what nobody waits for any more.

        Raises:
            StatusError: if the leader's own deadline has passed; the engine is passed on then.
        """
        with self._lock:
            now = self._clock()
            dropped = [task for task in self._waiting if task.is_expired(now)]
            for task in dropped:
                self._waiting.remove(task)
                task.error = deadline_exceeded()
                self._end(task)
            is_expired = leader.is_expired(now)
            if is_expired:
                dropped.append(leader)
                self._pass_on()
            records = [self._count_drop(task) for task in dropped]
            batch = [leader] if is_expired or leader.is_alone else self._form_batch(leader)
        for record in records:
            self.statistics.tell(record)
        if is_expired:
            raise deadline_exceeded()
        return batch

    def _form_batch(self, leader: Task) -> list[Task]:
        """Takes the tasks that run with the leader's out of the queue; the lock is held."""
        candidates = [leader, *(task for task in self._waiting if task.key == leader.key and not task.is_alone)]
        sizes = [Size(task.num_rows, task.num_tokens) for task in candidates]
        chosen = pack(sizes, self._max_tokens)
        batch = [candidates[position] for position in chosen]
        for task in batch[1:]:
            task.state = _State.RUNNING
        self._waiting = deque(task for task in self._waiting if task.state is _State.WAITING)
        self.statistics.queue_length = len(self._waiting)
        return batch

    def _lead(self, own: Task, batch: list[Task]) -> Any:
        """Runs a batch, whose first task is this thread's own, and passes the engine on; returns the own result."""
        try:
            if len(batch) == 1:
                return self._run(batch)[0]
            try:
                results = self._run(batch)
            except Exception as error:
                logger.info("a batch of %d requests failed, and each runs by itself: %s", len(batch), error)
                self._put_back(batch[1:])
                return self._run([own])[0]
            except BaseException:  # the interpreter ends this thread; the other requests need another one
                self._put_back(batch[1:])
                raise
            with self._lock:
                for task, result in zip(batch[1:], results[1:], strict=True):
                    if task.state is _State.RUNNING:
                        task.result = result
                        self._end(task)
            return results[0]
        finally:
            with self._lock:
                self._pass_on()

    def _run(self, batch: Sequence[Task]) -> Sequence[Any]:
        first = batch[0]
        if not first.arrival:  # alone, and at once
            record = BatchRecord("batch", str(first.key[0]), 1, first.num_rows, waiting_seconds=(0.0,))
        else:
            now = self._clock()
            for task in batch:
                task.start = now
            num_rows = sum(task.num_rows for task in batch)
            record = BatchRecord(
                "batch",
                str(first.key[0]),
                len(batch),
                num_rows,
                num_tokens=num_rows * max(task.num_tokens for task in batch),
                waiting_seconds=tuple(now - task.arrival for task in batch),
            )
        with self._lock:
            self.statistics.count(record)
        self.statistics.tell(record)
        return self._execute(batch)

    def _put_back(self, tasks: Sequence[Task]) -> None:
        """Puts the tasks of a failed batch back to the front of the queue, in their order, to run by themselves."""
        with self._lock:
            self.statistics.num_retried += 1
            for task in reversed(tasks):
                if task.state is _State.RUNNING:
                    task.is_alone = True
                    task.state = _State.WAITING
                    self._waiting.appendleft(task)
            self.statistics.queue_length = len(self._waiting)
            while self._waiting and self._num_running < self._num_slots:
                self._num_running += 1
                self._pass_on()

    def _pass_on(self) -> None:
        """Gives the engine to the task that has waited longest, or back; the lock is held."""
        if self._waiting:
            task = self._waiting.popleft()
            self.statistics.queue_length = len(self._waiting)
            task.state = _State.LEADING
            task.wake_up.release()
            return
        self._num_running -= 1
        self.statistics.num_running = self._num_running
        if not self._num_running:
            self._idle.notify_all()

    def _end(self, task: Task) -> None:
        """Wakes the thread of a task that has its result or its error; the lock is held."""
        task.state = _State.ENDED
        task.wake_up.release()

    def _count_drop(self, task: Task) -> BatchRecord:
        waited = self._clock() - task.arrival if task.arrival else 0.0
        record = BatchRecord("drop", str(task.key[0]), 1, task.num_rows, waiting_seconds=(waited,))
        self.statistics.count(record)
        self.statistics.queue_length = len(self._waiting)
        return record


def deadline_exceeded() -> StatusError:
    """Returns the error for a request whose deadline has passed, in the words of the session."""
    return StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
