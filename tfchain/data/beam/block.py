"""Blocks: the elements of the pipeline, some hundred neighbouring records of the source each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tfchain.data.steps.record import Record
from tfchain.data.steps.step import BLOCK_RECORDS

BLOCKS_OF_PART = 1 << 32


@dataclass(frozen=True)
class Block:
    """Neighbouring records, in order, with a number that says where in the corpus they stand.

    Records travel in blocks, so that what Beam does for each element costs little per record. Reading gives the same
    blocks whenever it is repeated, and steps keep their numbers: so a place, a block's number and a row in it, means
    the same record in every try of every worker, and the order of the places is the order of a run on one machine.

    Args:
        number: The number of the source's part times 2^32, plus the number of the block in that part.
        records: The records.
    """

    number: int
    records: list[Record]


def cut_blocks(records: Iterable[Record], part: int, *, block_records: int = BLOCK_RECORDS) -> Iterator[Block]:
    """Cuts the records of one part of the source into blocks.

    Args:
        records: The records, in order.
        part: The part's number, from 0.
        block_records: Records of a block; the last may have fewer. Default: 1024.
    """
    remaining = iter(records)
    number = part * BLOCKS_OF_PART
    while block := list(islice(remaining, block_records)):
        yield Block(number, block)
        number += 1
