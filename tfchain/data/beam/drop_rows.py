"""Takes records out of their blocks, once it is known which repeat others."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from tfchain.data.beam.block import Block
from tfchain.data.beam.run_steps import log_outputs
from tfchain.data.steps.step_log import StepLog


class DropRows(beam.DoFn):
    """Drops rows of blocks; takes `(number, {"blocks": [block], "drops": [[(row, detail), …], …]})`.

    The outputs are those of `RunSteps`.

    Args:
        step: The step's name.
        number: The step's number among all steps.
        reason: The reason in the log.
        with_entries: Whether to return an entry for each record that is dropped.
    """

    def __init__(self, step: str, number: int, reason: str, *, with_entries: bool = False) -> None:
        self.step = step
        self.number = number
        self.reason = reason
        self.with_entries = with_entries

    def process(self, joined: tuple[int, Any]) -> Iterator[Any]:
        number, found = joined
        entries: list[dict[str, Any]] = []
        log = StepLog(self.step, entries.append if self.with_entries else None)
        dropped = {row: detail for drops in found["drops"] for row, detail in drops}
        for block in found["blocks"]:
            kept = []
            for row, record in enumerate(block.records):
                if row in dropped:
                    log.drop(record, self.reason, dropped[row])
                else:
                    kept.append(record)
            log.received, log.passed = len(block.records), len(kept)
            yield from log_outputs(number, [log], self.number, entries)
            if kept:
                yield Block(number, kept)
