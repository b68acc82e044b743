"""Steps that look at one record alone, as a Beam transform over blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from tfchain.data.beam.block import Block
from tfchain.data.beam.step_logs import BlockLog, count_metrics
from tfchain.data.steps.run import StepsRun
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

LOGS = "logs"
ENTRIES = "entries"


@dataclass
class Callables:
    """What a worker has loaded for its steps, in an object that `Shared` can hold."""

    by_name: Mapping[str, Callable[..., Any]]


class RunSteps(beam.DoFn):
    """Runs blocks through steps that look at one record alone.

    The main output has the blocks, except those of which nothing is left; `logs` a `BlockLog` for each step and block;
    `entries` the block's number with its entries for the side file.

    Args:
        steps: The steps.
        first: The number of the first of them among all steps.
        load_callables: Returns what steps need of a model, by name; called once in each worker, if a step lacks
            something. Default: the steps have what they need.
        with_entries: Whether to return an entry for each record that a step drops or changes. Default: False.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        first: int,
        *,
        load_callables: Callable[[], Mapping[str, Callable[..., Any]]] | None = None,
        with_entries: bool = False,
    ) -> None:
        self.steps = list(steps)
        self.first = first
        self.load_callables = load_callables
        self.with_entries = with_entries
        self.shared = Shared()

    def setup(self) -> None:
        load = self.load_callables
        if load is not None and any(step.missing() for step in self.steps):
            loaded = self.shared.acquire(lambda: Callables(load()))
            self.steps = [step.bind(**loaded.by_name) for step in self.steps]

    def process(self, block: Block) -> Iterator[Any]:
        entries: list[dict[str, Any]] = []
        run = StepsRun(self.steps, entries.append if self.with_entries else None)
        records = run.process(block.records) + run.finish()
        yield from log_outputs(block.number, run.logs, self.first, entries)
        if records:
            yield Block(block.number, records)


def log_outputs(
    block: int, logs: Sequence[StepLog], first: int, entries: list[dict[str, Any]]
) -> Iterator[beam.pvalue.TaggedOutput]:
    """Yields the logs and entries of one block for the outputs `logs` and `entries`, and counts metrics."""
    for number, log in enumerate(logs, first):
        log.write = None
        count_metrics(log)
        yield beam.pvalue.TaggedOutput(LOGS, BlockLog(number, block, log))
    if entries:
        yield beam.pvalue.TaggedOutput(ENTRIES, (block, first, entries))
