"""Steps that look at one record alone, as a Beam transform over blocks."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from tfchain.data.beam.block import Block
from tfchain.data.beam.step_logs import BlockLog, count_metrics
from tfchain.data.steps.run import StepsRun
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

LOGS = "logs"
ENTRIES = "entries"


class RunSteps(beam.DoFn):
    """Runs blocks through steps that look at one record alone.

    The main output has the blocks, except those of which nothing is left; `logs` a `BlockLog` for each step and block;
    `entries` the block's number with its entries for the side file.

    Args:
        steps: The steps.
        first: The number of the first of them among all steps.
        with_entries: Whether to return an entry for each record that a step drops or changes.
    """

    def __init__(self, steps: Sequence[Step], first: int, *, with_entries: bool = False) -> None:
        self.steps = list(steps)
        self.first = first
        self.with_entries = with_entries

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
