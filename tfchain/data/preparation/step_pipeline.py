"""Runs steps over blocks of records in order: those that look at one record alone in worker processes."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.preparation.encoded_block import EncodedBlock, encode_block
from tfchain.data.steps.record import Record
from tfchain.data.steps.run import StepsRun
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog
from tfchain.runtime import fork
from tfchain.runtime.fork import is_tensorflow_started
from tfchain.runtime.process_pool import shut_down

BLOCKS_AHEAD = 2  # per worker, so that none waits while the results of another are written
Entry = dict[str, Any]
_RUN: StepsRun  # in a worker: its steps


@dataclass(frozen=True)
class Part:
    """Neighbouring steps that run in one place.

    Args:
        first: The number of the first step.
        end: The number behind the last.
        apart: Whether workers may run them.
    """

    first: int
    end: int
    apart: bool


@dataclass(frozen=True)
class Passed:
    """A block between two parts.

    Args:
        block: The records; encoded, if the last steps ran in a worker.
        entries: The entries for the side file of the steps so far. Default: none.
    """

    block: list[Record] | EncodedBlock
    entries: list[Entry] = field(default_factory=list)


class StepPipeline:
    """Steps, their states and logs, and the workers that run some of them.

    Blocks come out in the order in which they went in, whatever the number of workers. Workers are forked when a second
    block comes, and end with the process that forked them. Use it in a `with` block.

    Args:
        steps: The steps, bound to what they need.
        num_workers: The number of processes for steps that look at one record alone; 1 runs all steps in this process.
        with_entries: Whether to return an entry for each record that a step drops or changes. Default: False.

    Raises:
        InputError: if an item is not a step, a step lacks a callable that it needs, or there are to be workers after
            TensorFlow has started.
    """

    def __init__(self, steps: Sequence[Step], *, num_workers: int = 1, with_entries: bool = False) -> None:
        self.run = StepsRun(steps, self._note if with_entries else None)
        self.with_entries = with_entries
        self._entries: list[Entry] = []  # of the block that runs in this process
        self.num_workers = num_workers
        self.parts = make_parts(self.run) if num_workers > 1 else [Part(0, len(steps), False)]
        if num_workers > 1 and is_tensorflow_started():
            raise InputError(
                f"`num_workers` must be 1 once TensorFlow runs in this process, since its threads do not live on in "
                f"forked workers. Received: num_workers={num_workers}. Prepare the data before a model is loaded, or "
                "use num_workers=1.",
                argument="num_workers",
            )
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "StepPipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            shut_down(self._pool)
            self._pool = None

    def process(self, blocks: Iterable[list[Record]]) -> Iterator[tuple[EncodedBlock, list[Entry]]]:
        """Runs blocks through all steps.

        Yields:
            For each block what becomes of it, and the entries for the side file. When it ends, all blocks that went in
            have come out.

        Raises:
            TfchainError: if a worker was killed.
        """
        found: Iterator[Passed] = (Passed(block) for block in blocks)
        for part in self.parts:
            found = self._in_workers(found, part) if part.apart else self._here(found, part)
        for passed in found:
            block = passed.block
            yield block if isinstance(block, EncodedBlock) else encode_block(block), passed.entries

    def records(self, blocks: Iterable[list[Record]]) -> Iterator[tuple[list[Record], list[Entry]]]:
        """As `process`, but yields the records themselves; all steps run in this process."""
        for passed in self._here((Passed(block) for block in blocks), Part(0, len(self.run.steps), False)):
            assert not isinstance(passed.block, EncodedBlock)
            yield passed.block, passed.entries

    def finish(self) -> tuple[list[Record], list[Entry]]:
        """Returns what the steps held back, and the entries for the side file."""
        self._entries = []
        return self.run.finish(), self._entries

    def _note(self, entry: Entry) -> None:
        self._entries.append(entry)

    def _here(self, found: Iterator[Passed], part: Part) -> Iterator[Passed]:
        for passed in found:
            assert not isinstance(passed.block, EncodedBlock)
            self._entries = passed.entries
            yield Passed(self.run.run_part(passed.block, part.first, part.end), passed.entries)

    def _in_workers(self, found: Iterator[Passed], part: Part) -> Iterator[Passed]:
        waiting: deque[tuple[Future[tuple[Passed, list[StepLog]]], list[Entry]]] = deque()
        encode = part.end == len(self.run.steps)
        head = list(islice(found, 2))
        if self._pool is None and len(head) < 2:  # not worth a fork
            yield from self._here(iter(head), part)
            return
        try:
            for passed in chain(head, found):
                assert not isinstance(passed.block, EncodedBlock)
                if self._pool is None:
                    self._pool = self._start()
                result = self._pool.submit(run_part, passed.block, part, encode, self.with_entries)
                waiting.append((result, passed.entries))
                if len(waiting) >= BLOCKS_AHEAD * self.num_workers:
                    yield self._take(*waiting.popleft(), part)
            while waiting:
                yield self._take(*waiting.popleft(), part)
        except BrokenProcessPool as error:
            raise TfchainError(
                "A worker of the preparation was killed; if by the system, then for want of memory. Use fewer workers "
                "(`num_workers`), and run it again: it goes on from its last checkpoint."
            ) from error

    def _take(self, future: "Future[tuple[Passed, list[StepLog]]]", entries: list[Entry], part: Part) -> Passed:
        """Waits for a block, and adds up its logs."""
        passed, logs = future.result()
        for log, mine in zip(logs, self.run.logs[part.first : part.end], strict=True):
            mine.merge(log)
        return Passed(passed.block, entries + passed.entries)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.num_workers,
            mp_context=get_context("fork"),
            initializer=start_worker,
            initargs=(self.run.steps, os.getpid()),
        )


def make_parts(run: StepsRun) -> list[Part]:
    """Groups neighbouring steps by whether workers may run them: those that look at one record and have no state."""
    apart = [step.per_record and state is None for step, state in zip(run.steps, run.states, strict=True)]
    parts: list[Part] = []
    first = 0
    for is_apart, group in groupby(apart):
        end = first + len(list(group))
        parts.append(Part(first, end, is_apart))
        first = end
    return parts


def start_worker(steps: Sequence[Step], parent: int) -> None:
    """Prepares a worker for its steps."""
    global _RUN
    fork.start_worker(parent)
    _RUN = StepsRun(steps)


def run_part(block: list[Record], part: Part, encode: bool, with_entries: bool) -> tuple[Passed, list[StepLog]]:
    """Runs a block through neighbouring steps, in a worker."""
    entries: list[Entry] = []
    _RUN.logs = [StepLog(step.name, entries.append if with_entries else None) for step in _RUN.steps]
    records = _RUN.run_part(block, part.first, part.end)
    logs = _RUN.logs[part.first : part.end]
    for log in logs:
        log.write = None
    return Passed(encode_block(records) if encode else records, entries), logs


def choose_workers(num_workers: int | None) -> int:
    """Returns the number of workers: by default that of the processor cores, or 1 where a fork might hang."""
    import threading

    if num_workers is not None:
        return num_workers
    if is_tensorflow_started() or threading.active_count() > 1 or not Path("/proc/self").exists():
        return 1
    return len(os.sched_getaffinity(0))
