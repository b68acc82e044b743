"""Runs steps over a stream of records, block by block, so that memory does not grow with the data."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

from tfchain.core.errors import InputError
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import BLOCK_RECORDS, Step
from tfchain.data.steps.step_log import StepLog, WriteEntry


@dataclass
class StepsRun:
    """A run of several steps: their states and logs between blocks.

    Args:
        steps: The steps, in order.
        write: Receives an entry for each record that a step drops or changes; see `StepLog`. Default: not kept.

    Attributes:
        logs: What each step did so far.
        states: Each step's state.

    Raises:
        InputError: if an item is not a step, or a step lacks a callable that it needs.
    """

    steps: Sequence[Step]
    write: WriteEntry | None = None
    logs: list[StepLog] = field(init=False)
    states: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        for number, step in enumerate(cast(Sequence[Any], self.steps)):
            if not isinstance(step, Step):
                hint = f" Write {step.__name__}()." if isinstance(step, type) and issubclass(step, Step) else ""
                raise InputError(
                    f"`steps` must be steps, such as RepairText(). Received: steps[{number}]={step!r:.80}.{hint}",
                    argument="steps",
                )
        for step in self.steps:
            step.check_bound()
        self.logs = [StepLog(step.name, self.write) for step in self.steps]
        self.states = [step.new_state() for step in self.steps]

    def process(self, records: Sequence[Record]) -> list[Record]:
        """Runs a block of records through all steps."""
        return self.run_part(list(records), 0)

    def finish(self) -> list[Record]:
        """Returns what the steps held back; each step's last records run through the steps after it."""
        last: list[Record] = []
        for number, (step, log, state) in enumerate(zip(self.steps, self.logs, self.states, strict=True)):
            start = time.perf_counter()
            held = step.finish(log, state)
            log.seconds += time.perf_counter() - start
            log.passed += len(held)
            last += self.run_part(held, number + 1)
        return last

    def save_states(self, folder: Path) -> None:
        """Writes the steps' states into an empty folder, for a run that resumes."""
        for number, (step, state) in enumerate(zip(self.steps, self.states, strict=True)):
            inner = folder / f"{number}-{step.name}"
            inner.mkdir()
            step.save_state(state, inner)

    def load_states(self, folder: Path) -> None:
        """Reads the states that `save_states` wrote."""
        self.states = [step.load_state(folder / f"{number}-{step.name}") for number, step in enumerate(self.steps)]

    def run_part(self, records: list[Record], first: int, end: int | None = None) -> list[Record]:
        """Runs a block of records through some of the steps.

        Args:
            records: The records.
            first: The number of the first step.
            end: The number behind the last step. Default: all that follow.
        """
        part = slice(first, end)
        for step, log, state in zip(self.steps[part], self.logs[part], self.states[part], strict=True):
            if not records:
                break
            start = time.perf_counter()
            log.received += len(records)
            records = step.process(records, log, state)
            log.passed += len(records)
            log.seconds += time.perf_counter() - start
        return records


def run_steps(records: Iterable[Record], steps: Sequence[Step]) -> Iterator[Record]:
    """Runs records through steps, in order.

    Args:
        records: Documents or rows.
        steps: The steps.

    Yields:
        What comes out, in order.

    Raises:
        InputError: if an item of `steps` is not a step.
    """
    run = StepsRun(steps)
    return stream(records, run)


def stream(records: Iterable[Record], run: StepsRun) -> Iterator[Record]:
    """Yields what a run makes of records, block by block."""
    remaining = iter(records)
    while block := list(islice(remaining, BLOCK_RECORDS)):
        yield from run.process(block)
    yield from run.finish()
