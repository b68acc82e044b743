"""Logs of blocks add up to what one machine's log says, in whatever order they come."""

import random

import pytest

from tfchain.data.beam.step_logs import AddLogs, BlockLog
from tfchain.data.steps.step_log import StepLog

pytestmark = pytest.mark.beam


def log_blocks() -> tuple[list[BlockLog], StepLog]:
    """Logs of five blocks of four records, and the log of one machine."""
    whole = StepLog("s")
    blocks = []
    for number in range(5):
        log = StepLog("s")
        for one in (log, whole):
            one.received += 4
            one.passed += 3
            one.seconds += 0.5
            one.drop({"id": f"{number}", "text": "t"}, "short" if number % 2 else "long")
            one.change({"id": f"{number}c", "text": "a"}, {"id": f"{number}c", "text": "b"}, "case")
        blocks.append(BlockLog(1, number, log))
    return blocks, whole


@pytest.mark.parametrize("seed", range(5))
def test_any_order_gives_the_log_of_one_machine(seed: int) -> None:
    blocks, whole = log_blocks()
    random.Random(seed).shuffle(blocks)
    add = AddLogs(["first", "s"])
    parts = [add.create_accumulator() for _ in range(2)]
    for place, block in enumerate(blocks):
        parts[place % 2] = add.add_input(parts[place % 2], block)
    first, found = add.extract_output(add.merge_accumulators(parts))

    assert found.to_dict() == whole.to_dict()
    assert first.to_dict() == StepLog("first").to_dict()


def test_no_blocks_give_empty_logs() -> None:
    add = AddLogs(["s"])
    assert add.extract_output(add.create_accumulator())[0].to_dict() == StepLog("s").to_dict()
