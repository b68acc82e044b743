"""Records whose texts repeat an earlier record's, found across the whole corpus."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from tfchain.data.beam.block import Block
from tfchain.data.beam.offsets import offsets_of
from tfchain.data.deduplication.remove_exact_duplicates import RemoveExactDuplicates

Array = np.ndarray[Any, Any]


class FindExactDuplicates(beam.PTransform):
    """Finds the records that `RemoveExactDuplicates` drops: `(block, [(row, detail), …])`.

    Each block sends its hashes, not its texts, to the partitions they belong to; a partition sorts what it gets. Of
    equal hashes the smallest place stays, so the result is that of one machine that reads the corpus in order.

    Args:
        step: The step.
        partitions: Among how many groups hashes are dealt; a worker holds one group at a time.
    """

    def __init__(self, step: RemoveExactDuplicates, partitions: int) -> None:
        super().__init__()
        self.step = step
        self.partitions = partitions

    def expand(self, blocks: Any) -> Any:
        return (
            blocks
            | "Hash" >> beam.ParDo(DealHashes(self.step, self.partitions))
            | "Group hashes" >> beam.GroupByKey()
            | "Find repeats" >> beam.FlatMap(find_repeats, offsets_of(blocks))
        )


class DealHashes(beam.DoFn):
    """Deals the hashes of a block's records to partitions: `(partition, (block, rows, hashes))`."""

    def __init__(self, step: RemoveExactDuplicates, partitions: int) -> None:
        self.step = step
        self.partitions = partitions

    def process(self, block: Block) -> Iterator[tuple[int, tuple[int, Array, Array]]]:
        hashes = [self.step.hash(record) for record in block.records]
        rows = np.array([row for row, key in enumerate(hashes) if key is not None], np.int32)
        keys = np.array([key for key in hashes if key is not None], np.uint64)
        yield from deal(block.number, rows, keys, self.partitions)


def deal(block: int, rows: Array, keys: Array, partitions: int) -> Iterator[tuple[int, tuple[int, Array, Array]]]:
    """Deals rows to partitions by their keys."""
    mine = keys % np.uint64(partitions)
    order = np.argsort(mine, kind="stable")
    numbers, starts = np.unique(mine[order], return_index=True)
    for number, at in zip(numbers, np.split(order, starts[1:]), strict=bool(len(numbers))):
        yield int(number), (block, rows[at], keys[at])


def find_repeats(
    dealt: tuple[int, Iterable[tuple[int, Array, Array]]], offsets: dict[int, int]
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Finds the repeats within one partition; yields them by block."""
    parts = sorted(dealt[1], key=lambda part: part[0])
    numbers = np.concatenate([offsets[block] + rows.astype(np.int64) for block, rows, _ in parts])  # ascending
    keys = np.concatenate([part[2] for part in parts])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    end = 0
    for block, rows, _ in parts:
        start, end = end, end + len(rows)
        places = np.arange(start, end)
        firsts = first[inverse[start:end]]
        drops = [
            (int(rows[at]), f"repeats record number {numbers[firsts[at]] + 1} of those that came here")
            for at in np.flatnonzero(firsts != places)
        ]
        if drops:
            yield block, drops
