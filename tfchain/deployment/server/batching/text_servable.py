"""A version that answers texts, batched by tokens: a servable around another one."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.stages import find_record
from tfchain.deployment.server.batching.merging import join_inputs, split_outputs
from tfchain.deployment.server.batching.stages import add_waiting
from tfchain.deployment.server.batching.statistics import BatchingStatistics, BatchRecord
from tfchain.deployment.server.batching.token_estimate import DEFAULT_MAX_LENGTH, estimate_longest
from tfchain.deployment.server.batching.token_scheduler import MAX_TOKENS, Task, TokenScheduler, deadline_exceeded
from tfchain.deployment.server.servables.dtypes import BY_NUMBER, DT_STRING
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable
from tfchain.deployment.server.status import StatusError


@dataclass(slots=True)  # a frozen one takes several times as long to make
class _Request:
    signature: Signature
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[str]
    timeout_ms: int | None


class TextBatchingServable(WrappedServable):
    """A version whose signatures of texts and token ids run in batches across clients; see `Servable` for its methods.

    A signature is batched if each input and output has a row for each text, and the outputs' other dimensions are
    fixed, so that an answer does not depend on the texts beside it (`find_batched`). Requests of other signatures,
    requests whose inputs do not fit their signature, and requests larger than a batch go to the version unchanged, at
    once: a client with many texts does not hold up the others.

    The graph pads texts to the longest of a batch by itself; inputs of other shapes are never padded, and share a batch
    only with inputs of the same shape. A version may have the attribute `num_engines`, the number of batches that run
    at the same time; otherwise it is 1.

    Args:
        servable: The version; `close` closes it.
        batched: The names of the signatures to batch.
        max_tokens: The most tokens in a batch of several requests, padding included. Default: 2048.
        max_length: The length in tokens at which the model cuts texts off. Default: 512.
        listener: Called with a record of each batch and each dropped request. Default: none.
        clock: The time in seconds. Default: `time.monotonic`.
    """

    def __init__(
        self,
        servable: Servable,
        batched: Sequence[str],
        *,
        max_tokens: int = MAX_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        listener: Callable[[BatchRecord], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(servable)
        self._clock = clock
        self._max_length = max_length
        self._max_tokens = max_tokens
        self._dtypes = {
            name: {key: BY_NUMBER[spec.dtype].numpy for key, spec in servable.signatures[name].inputs.items()}
            for name in batched
        }
        self.statistics = BatchingStatistics(listener)
        self._scheduler = TokenScheduler(
            self._execute,
            lambda task: self._count_tokens(task.request.inputs),
            num_slots=getattr(servable, "num_engines", 1),
            max_tokens=max_tokens,
            statistics=self.statistics,
            clock=clock,
        )

    @property
    def batched(self) -> frozenset[str]:
        """The names of the signatures that are batched."""
        return frozenset(self._dtypes)

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, together with the requests of other clients that wait for it."""
        shape = self._find_shape(signature, inputs)
        if shape is None:
            return self._servable.run(signature, inputs, outputs, timeout_ms)
        num_rows, *key = shape
        if num_rows * self._max_length > self._max_tokens and num_rows * self._count_tokens(inputs) > self._max_tokens:
            return self._servable.run(signature, inputs, outputs, timeout_ms)  # beside the batches, not before them
        task = Task(
            (signature.name, tuple(outputs), *key),
            _Request(signature, inputs, outputs, timeout_ms),
            num_rows,
            None if timeout_ms is None else self._clock() + timeout_ms / 1000,
        )
        record = find_record()
        num_stages = 0 if record is None else len(record.stages)
        try:
            result: list[np.ndarray] = self._scheduler.submit(task)
        finally:
            if record is not None and task.arrival:
                add_waiting(record, num_stages, task.arrival, task.start, self._clock())
        return result

    def close(self) -> None:
        """Finishes the accepted requests, and closes the version."""
        self._scheduler.close()
        self._servable.close()
        self.statistics.tell(BatchRecord("end", "", 0, 0))

    def _find_shape(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> tuple[Any, ...] | None:
        """Returns the number of rows, and each input's other dimensions; None if the request cannot be batched."""
        dtypes = self._dtypes.get(signature.name)
        if dtypes is None:
            return None
        num_rows = -1
        shapes: list[tuple[int, ...]] = []
        for name, dtype in dtypes.items():
            array = inputs[name]
            if array.dtype != dtype or not array.ndim or not array.size:
                return None
            if array.dtype.hasobject and array.ndim != 1:
                return None
            num_rows = len(array) if num_rows < 0 else num_rows
            if len(array) != num_rows:
                return None
            shapes.append(array.shape[1:])
        return num_rows, *shapes

    def _count_tokens(self, inputs: Mapping[str, np.ndarray]) -> int:
        """Returns the tokens of a request's longest row: known for token ids, estimated for texts."""
        arrays = inputs.values()
        texts = sum(estimate_longest(array, self._max_length) for array in arrays if array.dtype == object)
        if texts:
            return min(texts, self._max_length)
        return max(array.size // len(array) for array in arrays)

    def _execute(self, tasks: Sequence[Task]) -> Sequence[list[np.ndarray]]:
        first: _Request = tasks[0].request
        timeout_ms = first.timeout_ms if not tasks[0].arrival else self._left_ms(tasks)
        if len(tasks) == 1:
            return [self._servable.run(first.signature, first.inputs, first.outputs, timeout_ms)]
        inputs = join_inputs([task.request.inputs for task in tasks])
        outputs = self._servable.run(first.signature, inputs, first.outputs, timeout_ms)
        try:
            return split_outputs(outputs, [task.num_rows for task in tasks])
        except StatusError:  # its outputs are not what its signature says: run it unbatched from now on
            self._dtypes.pop(first.signature.name, None)
            raise

    def _left_ms(self, tasks: Sequence[Task]) -> int | None:
        """Returns the time until the last deadline in milliseconds, at least 1; None if a task has none."""
        last = 0.0
        for task in tasks:
            if task.deadline is None:
                return None
            last = max(last, task.deadline)
        left = last - self._clock()
        if left <= 0:
            raise deadline_exceeded()
        return max(1, int(left * 1000))


def find_batched(servable: Servable) -> list[str]:
    """Returns the signatures that can run in batches: of texts or token ids, with answers that stand alone.

    All dimensions of the outputs but the first must be fixed: the length to which token ids are padded, for instance,
    depends on the other texts of a batch.

    Args:
        servable: The loaded version.
    """
    found = []
    for name, proto in servable.signature_defs.items():
        if name not in servable.signatures or not proto.inputs or not proto.outputs:
            continue
        is_text = all(info.dtype == DT_STRING for info in proto.inputs.values())
        is_ids = proto.inputs.keys() == {"token_ids", "padding_mask"}
        if (
            (is_text or is_ids)
            and all(_has_rows(info) for info in proto.inputs.values())
            and all(
                _has_rows(info) and all(dimension.size >= 0 for dimension in info.tensor_shape.dim[1:])
                for info in proto.outputs.values()
            )
        ):
            found.append(name)
    return found


def _has_rows(info: Any) -> bool:
    """Returns whether the first dimension of a tensor is the number of rows."""
    shape = info.tensor_shape
    return not shape.unknown_rank and len(shape.dim) > 0 and shape.dim[0].size == -1
