"""The logs of many workers' blocks, added up so that they say what one machine's log says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from tfchain.data.steps.step_log import Action, StepLog

METRICS = "tfchain"

Key = tuple[Action, str]
Examples = tuple[int, int, list[dict[str, Any]]]  # block, place among the block's reasons, entries


@dataclass(frozen=True)
class BlockLog:
    """What one step did with one block.

    Args:
        step: The step's number among all steps.
        block: The block's number.
        log: The log.
    """

    step: int
    block: int
    log: StepLog


@dataclass
class AddedLogs:
    """Logs added up: counts by step, and the examples of the first blocks."""

    logs: dict[int, StepLog] = field(default_factory=dict)
    examples: dict[tuple[int, Key], list[Examples]] = field(default_factory=dict)


class AddLogs(beam.CombineFn):
    """Adds logs up. Examples are those of the first blocks, as on one machine, in whatever order the blocks come.

    Args:
        names: The names of all steps, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)

    def create_accumulator(self) -> AddedLogs:
        return AddedLogs()

    def add_input(self, added: AddedLogs, element: BlockLog) -> AddedLogs:
        log = element.log
        for place, (key, entries) in enumerate(log.examples.items()):
            self.keep(added, (element.step, key), [(element.block, place, entries)], log.num_examples)
        self.total(added, element.step).merge(StepLog(**{**vars(log), "examples": {}}))
        return added

    def merge_accumulators(self, parts: Iterable[AddedLogs]) -> AddedLogs:
        merged = AddedLogs()
        for part in parts:
            for step, log in part.logs.items():
                self.total(merged, step).merge(log)
            for key, found in part.examples.items():
                self.keep(merged, key, found, StepLog("").num_examples)
        return merged

    def extract_output(self, added: AddedLogs) -> list[StepLog]:
        logs = [self.total(added, step) for step in range(len(self.names))]
        for (step, key), found in sorted(added.examples.items(), key=lambda item: item[1][0][:2]):
            logs[step].examples[key] = [entry for one in found for entry in one[2]][: logs[step].num_examples]
        return logs

    def total(self, added: AddedLogs, step: int) -> StepLog:
        """Returns the log that adds up one step."""
        return added.logs.setdefault(step, StepLog(self.names[step]))

    def keep(self, added: AddedLogs, key: tuple[int, Key], found: list[Examples], most: int) -> None:
        """Keeps the examples of the first blocks: as few blocks as have enough of them."""
        kept = sorted([*added.examples.get(key, []), *found], key=lambda item: item[0])
        number = 0
        for place, one in enumerate(kept, 1):
            number += len(one[2])
            if number >= most:
                del kept[place:]
                break
        added.examples[key] = kept


def count_metrics(log: StepLog) -> None:
    """Adds a log's counts to the pipeline's metrics, which runners show while they run."""
    counts = {"received": log.received, "passed": log.passed}
    for action, reasons in (("dropped", log.dropped), ("changed", log.changed), ("added", log.added)):
        counts |= {f"{action}: {reason}": number for reason, number in reasons.items()}
    for name, number in counts.items():
        beam.metrics.Metrics.counter(METRICS, f"{log.step}/{name}").inc(number)
