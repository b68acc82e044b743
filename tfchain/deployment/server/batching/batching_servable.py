"""A version whose requests run in batches as in a stock server with `--enable_batching`: a servable around another."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfchain.core.stages import find_record
from tfchain.deployment.server.batching.merging import count_padding, count_rows, join_inputs, split_outputs
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.shared_scheduler import BatchQueue, SharedBatchScheduler
from tfchain.deployment.server.batching.stages import add_waiting
from tfchain.deployment.server.batching.statistics import BatchingStatistics, BatchRecord
from tfchain.deployment.server.servables.dtypes import BY_NUMBER
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable
from tfchain.deployment.server.status import Code, StatusError, to_status


class BatchingServable(WrappedServable):
    """A version with TensorFlow Serving's batching; see `Servable` for its methods.

    Requests share a batch if they feed and fetch the same tensors; each such set of tensors has a queue. Two kinds of
    requests go to the version unbatched, where a stock server would not answer them: those without rows, for which it
    waits forever, and those whose data types differ from the signature's, which fail everybody's batch.

    Args:
        servable: The version; `close` closes it.
        scheduler: The batch threads, shared by all versions.
        parameters: The limits of the queues, checked.
        listener: Called with a record of each request and each batch. Default: none.
    """

    def __init__(
        self,
        servable: Servable,
        scheduler: SharedBatchScheduler,
        parameters: BatchingParameters,
        *,
        listener: Callable[[BatchRecord], None] | None = None,
    ) -> None:
        self.statistics = BatchingStatistics(listener)
        super().__init__(servable)
        self._scheduler = scheduler
        self._parameters = parameters
        self._queues: dict[tuple[frozenset[str], frozenset[str]], BatchQueue] = {}
        self._lock = threading.Lock()  # guards the queues' table and the statistics

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, in a batch with other requests for it."""
        tensors = {spec.tensor_name: inputs[name] for name, spec in signature.inputs.items()}
        num_rows = count_rows(tensors)
        if not num_rows or not outputs or not _has_dtypes(signature, inputs):
            return self._servable.run(signature, inputs, outputs, timeout_ms)
        now = self._scheduler.clock()
        task = _Task(
            signature,
            tensors,
            [signature.outputs[name].tensor_name for name in outputs],
            num_rows=num_rows,
            arrival=now,
            deadline=None if timeout_ms is None else now + timeout_ms / 1000,
            answer=_Answer(),
        )
        self.statistics.tell(BatchRecord("request", signature.name, 1, num_rows))
        queue = self._find_queue((frozenset(tensors), frozenset(task.fetches)))
        queue.schedule(task)
        self.statistics.queue_length = self._count_waiting()
        try:
            return task.answer.wait()
        finally:
            if (record := find_record()) is not None:
                add_waiting(record, len(record.stages), now, task.answer.start, self._scheduler.clock())

    def close(self) -> None:
        """Finishes the accepted requests, and closes the version."""
        with self._lock:
            queues = list(self._queues.values())
        for queue in queues:
            queue.close()
        self._servable.close()
        self.statistics.tell(BatchRecord("end", "", 0, 0))

    def _find_queue(self, tensors: tuple[frozenset[str], frozenset[str]]) -> BatchQueue:
        with self._lock:
            queue = self._queues.get(tensors)
            if queue is None:
                queue = self._queues[tensors] = self._scheduler.add_queue(self._parameters, self._process)
            return queue

    def _process(self, tasks: "list[_Task]") -> None:
        """Runs a batch, in a batch thread; a request's deadline does not fail the others."""
        now = self._scheduler.clock()
        for task in tasks:
            task.answer.start = task.answer.start or now
        try:
            deadlines = [task.deadline for task in tasks]
            timeout_ms = None
            if None not in deadlines:
                left = max(deadline for deadline in deadlines if deadline is not None) - now
                if left <= 0:
                    self._record("drop", tasks, now)
                    raise StatusError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
                timeout_ms = max(1, int(left * 1000))
            results = self._run_batch(tasks, now, timeout_ms)
        except Exception as error:
            status = to_status(error)
            for task in tasks:
                task.answer.give(task.position, [], status)
            return
        for task, result in zip(tasks, results, strict=True):
            task.answer.give(task.position, result)

    def _run_batch(self, tasks: "list[_Task]", now: float, timeout_ms: int | None) -> list[list[np.ndarray]]:
        values = self._parameters
        signature = tasks[0].signature
        sizes = [task.num_rows for task in tasks]
        num_padding_rows = count_padding(sum(sizes), values.allowed_batch_sizes)
        self._record("batch", tasks, now, num_padding_rows)
        tensors = join_inputs(
            [task.inputs for task in tasks],
            num_padding_rows=num_padding_rows,
            pads_shapes=values.pad_variable_length_inputs,
        )
        names = {signature.outputs[name].tensor_name: name for name in signature.outputs}
        fetches = list(dict.fromkeys(tasks[0].fetches))
        inputs = {name: tensors[spec.tensor_name] for name, spec in signature.inputs.items()}
        outputs = self._servable.run(signature, inputs, [names[fetch] for fetch in fetches], timeout_ms)
        parts = split_outputs(outputs, sizes, num_padding_rows)
        return [[part[fetches.index(fetch)] for fetch in task.fetches] for task, part in zip(tasks, parts, strict=True)]

    def _record(self, kind: str, tasks: "list[_Task]", now: float, num_padding_rows: int = 0) -> None:
        record = BatchRecord(
            kind,
            tasks[0].signature.name,
            len(tasks),
            sum(task.num_rows for task in tasks),
            num_padding_rows,
            waiting_seconds=tuple(now - task.arrival for task in tasks),
        )
        with self._lock:
            self.statistics.count(record)
        self.statistics.queue_length = self._count_waiting()
        self.statistics.tell(record)

    def _count_waiting(self) -> int:
        return sum(queue.num_tasks for queue in tuple(self._queues.values()))


class _Answer:
    """What a request waits for: the outputs of its parts, or the first error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._error: StatusError | None = None
        self._parts: list[list[np.ndarray]] = []
        self.start = 0.0  # when the first part's batch began
        self.expect(1)

    def expect(self, num_parts: int) -> None:
        """Sets the number of parts, before any is given."""
        self._parts = [[]] * num_parts
        self._num_left = num_parts

    def give(self, position: int, outputs: list[np.ndarray], error: StatusError | None = None) -> None:
        """Sets the outputs or the error of a part."""
        with self._lock:
            self._parts[position] = outputs
            self._error = self._error or error
            self._num_left -= 1
            if not self._num_left:
                self._done.set()

    def wait(self) -> list[np.ndarray]:
        """Returns the outputs when all parts have ended.

        Raises:
            StatusError: the first error of a part.
        """
        while not self._done.wait(60.0):
            pass  # a batch thread ends each task: with its outputs, an error, or the timeout of the run
        if self._error is not None:
            raise StatusError(self._error.code, self._error.message)
        if len(self._parts) == 1:
            return self._parts[0]
        return [np.concatenate(pieces) for pieces in zip(*self._parts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Task:
    """A request in a queue, or a part of one; inputs and fetches are by the tensors' names."""

    signature: Signature
    inputs: Mapping[str, np.ndarray]
    fetches: Sequence[str]
    num_rows: int
    arrival: float
    deadline: float | None
    answer: _Answer
    position: int = 0

    def split(self, sizes: Sequence[int]) -> "list[_Task]":
        """Splits the request; its answer waits for all parts."""
        self.answer.expect(len(sizes))
        ends = np.cumsum(sizes)
        parts = {name: np.split(array, ends[:-1]) for name, array in self.inputs.items()}
        return [
            replace(
                self,
                inputs={name: pieces[position] for name, pieces in parts.items()},
                num_rows=size,
                position=position,
            )
            for position, size in enumerate(sizes)
        ]


def _has_dtypes(signature: Signature, inputs: Mapping[str, np.ndarray]) -> bool:
    return all(
        (dtype := BY_NUMBER.get(spec.dtype)) is not None and inputs[name].dtype == dtype.numpy
        for name, spec in signature.inputs.items()
    )
