"""TensorFlow Serving's scheduler: batch threads that all models share, and a queue of batches for each signature.

It follows SharedBatchScheduler of TensorFlow 2.21 (core/kernels/batching_util/shared_batch_scheduler.h), error texts
included.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.status import Code, StatusError, invalid_argument
from tfchain.runtime.fork import renew_after_fork

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0


class QueuedTask(Protocol):
    """What a queue holds: a request, or a part of one."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""

    def split(self, sizes: Sequence[int]) -> "Sequence[QueuedTask]":
        """Splits a request among batches; `sizes` are the parts' rows."""


class Batch:
    """Tasks that run together.

    Attributes:
        tasks: The tasks, in the order of their arrival.
        num_rows: The number of their rows.
        opened_at: When the first task came.
    """

    __slots__ = ("num_rows", "opened_at", "tasks")

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.num_rows = 0
        self.opened_at = 0.0


class SharedBatchScheduler:
    """Runs the batches of all queues on its threads; the queues take turns.

    The threads start with the first queue, and end with `close`.

    Args:
        num_threads: The number of batches that run at the same time.
        name: The name of the threads.
        clock: The time in seconds. Default: `time.monotonic`.
    """

    def __init__(
        self, num_threads: int, name: str = "batch_threads", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._num_threads = num_threads
        self.name = name
        self._queues: list[BatchQueue] = []
        self._next = 0
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._make_locks()
        renew_after_fork(self)

    def add_queue(self, parameters: BatchingParameters, process: Callable[[list[Any]], None]) -> "BatchQueue":
        """Adds a queue.

        Args:
            parameters: Its limits.
            process: Runs the tasks of a batch, and gives each its result or its error; called in a batch thread.
        """
        queue = BatchQueue(self, parameters, process)
        with self.lock:
            queue.is_closed = self._is_closed  # no thread would run its batches
            self._queues.append(queue)
        return queue

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Runs what is in the queues, and ends the threads; gives up on batches that exceed the timeout."""
        with self.lock:
            self._is_closed = True
            for queue in self._queues:
                queue.is_closed = True
            self.work_ready.notify_all()
            threads = list(self._threads)
        deadline = time.monotonic() + timeout_seconds
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def after_fork(self) -> None:
        """Forgets the parent's tasks and threads."""
        self._make_locks()
        self._threads = []
        for queue in self._queues:
            queue.clear()

    def wake_thread(self) -> None:
        """Wakes a batch thread, or starts the threads; the lock is held."""
        if not self._threads and not self._is_closed:
            self._threads = [
                threading.Thread(target=self._work, name=f"{self.name}_{number}", daemon=True)
                for number in range(self._num_threads)
            ]
            for thread in self._threads:
                thread.start()
        self.work_ready.notify()

    def remove(self, queue: "BatchQueue") -> None:
        """Removes a closed queue."""
        with self.lock:
            if queue in self._queues:
                self._queues.remove(queue)
                self._next = 0

    def _make_locks(self) -> None:
        self.lock = threading.Lock()  # guards all queues
        self.work_ready = threading.Condition(self.lock)
        self.drained = threading.Condition(self.lock)

    def _work(self) -> None:
        while True:
            with self.lock:
                while (found := self._take_batch()) is None:
                    if self._is_closed:
                        return
                    self.work_ready.wait(self._seconds_to_next())
                self.work_ready.notify()  # another thread watches the timeouts while this one is busy
            queue, batch = found
            try:
                queue.process(batch.tasks)
            except Exception:
                logger.exception("a batch thread failed")
            with self.lock:
                queue.num_running -= 1
                self.drained.notify_all()

    def _take_batch(self) -> "tuple[BatchQueue, Batch] | None":
        """Takes the next batch that may run, from the queue whose turn it is; the lock is held."""
        for _ in range(len(self._queues)):
            queue = self._queues[self._next % len(self._queues)]
            self._next = (self._next + 1) % len(self._queues)
            batch = queue.take_batch()
            if batch is not None:
                return queue, batch
        return None

    def _seconds_to_next(self) -> float:
        times = [left for queue in self._queues if (left := queue.seconds_to_timeout()) is not None]
        return max(min([*times, _IDLE_SECONDS]), 0.0)


class BatchQueue:
    """The waiting requests of a signature, grouped into batches as they come; made by `SharedBatchScheduler.add_queue`.

    Args:
        scheduler: The owner of the threads; its lock guards the queue.
        parameters: The limits.
        process: Runs the tasks of a batch.

    Attributes:
        num_tasks: The number of waiting tasks; counted under the lock, and read without it.
    """

    def __init__(
        self, scheduler: SharedBatchScheduler, parameters: BatchingParameters, process: Callable[[list[Any]], None]
    ) -> None:
        self.process = process
        self.is_closed = False
        self.num_running = 0
        self._scheduler = scheduler
        self._parameters = parameters
        self.clear()

    def clear(self) -> None:
        """Forgets all tasks."""
        self._batches: deque[Batch] = deque([Batch()])
        self.num_running = 0
        self.num_tasks = 0

    def schedule(self, task: QueuedTask) -> None:
        """Adds a task to the open batch, or to a new one if it does not fit; splits it if that is allowed.

        Raises:
            StatusError: INVALID_ARGUMENT if the task is too large, UNAVAILABLE if the queue is full or closed.
        """
        largest = self._parameters.largest_batch
        with self._scheduler.lock:
            if self.is_closed:
                raise StatusError(Code.UNAVAILABLE, "The version is being unloaded.")
            self._check_capacity(task.num_rows)
            room = largest - self._batches[-1].num_rows
            parts: Sequence[QueuedTask] = [task]
            if self._parameters.enable_large_batch_splitting and task.num_rows > room:
                parts = task.split(_part_sizes(task.num_rows, room, largest))
            for part in parts:
                if self._batches[-1].num_rows + part.num_rows > largest:
                    self._batches.append(Batch())
                batch = self._batches[-1]
                if not batch.tasks:
                    batch.opened_at = self._scheduler.clock()
                batch.tasks.append(part)
                self.num_tasks += 1
                batch.num_rows += part.num_rows
            self._scheduler.wake_thread()

    def take_batch(self) -> Batch | None:
        """Takes the first batch that may run, if there is one; the lock is held."""
        if len(self._batches) == 1:
            left = self.seconds_to_timeout()
            if left is None or left > 0:
                return None
            self._batches.append(Batch())
        self.num_running += 1
        batch = self._batches.popleft()
        self.num_tasks -= len(batch.tasks)
        return batch

    def seconds_to_timeout(self) -> float | None:
        """Returns the time until the first batch may run; None if the queue is empty. The lock is held."""
        first = self._batches[0]
        if not first.tasks:
            return None
        if len(self._batches) > 1 or self.is_closed or first.num_rows >= self._parameters.largest_batch:
            return 0.0
        return first.opened_at + self._parameters.batch_timeout_micros / 1e6 - self._scheduler.clock()

    def close(self) -> None:
        """Refuses further tasks, and returns when those accepted before have run."""
        scheduler = self._scheduler
        with scheduler.lock:
            self.is_closed = True
            scheduler.work_ready.notify_all()
            while self._batches[0].tasks or self.num_running:
                scheduler.drained.wait(1.0)
        scheduler.remove(self)

    def _check_capacity(self, num_rows: int) -> None:
        """Raises with stock's codes and texts if a task cannot be added."""
        values = self._parameters
        if num_rows > values.max_batch_size:
            raise invalid_argument(
                f"Task size {num_rows} is larger than maximum input batch size {values.max_batch_size}"
            )
        open_rows, num_batches = self._batches[-1].num_rows, len(self._batches)
        full = "The batch scheduling queue to which this task was submitted is full; "
        if values.enable_large_batch_splitting:
            capacity = (values.largest_queue - num_batches) * values.largest_batch + values.largest_batch - open_rows
            if num_rows > capacity:
                raise StatusError(
                    Code.UNAVAILABLE,
                    f"{full}task size is {num_rows} but scheduling capacity is only {capacity} "
                    f"(num_enqueued_batches={num_batches}, max_enqueued_batches={values.largest_queue}, "
                    f"open_batch_size={open_rows}, max_execution_batch_size={values.largest_batch})",
                )
        elif open_rows + num_rows > values.max_batch_size and num_batches >= values.largest_queue:
            raise StatusError(
                Code.UNAVAILABLE,
                f"{full}currently {num_batches} batches enqueued and max_enqueued_batches is {values.largest_queue}",
            )


def _part_sizes(num_rows: int, room: int, largest: int) -> list[int]:
    """Returns the rows of a task's parts: the first fills the open batch, the others whole batches."""
    sizes = [room] if room > 0 else []
    left = num_rows - room
    while left > 0:
        sizes.append(min(left, largest))
        left -= largest
    return sizes
