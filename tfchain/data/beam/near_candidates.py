"""Candidates for near-duplicates: the records that have a band of their MinHash signatures in common."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import apache_beam as beam
import numpy as np

from tfchain.data.beam.block import Block
from tfchain.data.deduplication.remove_near_duplicates import KEY_BITS, RemoveNearDuplicates
from tfchain.data.deduplication.sketches import choose_rows, make_band_keys, make_sketches
from tfchain.data.steps.record import record_id

MOST_FIRSTS = 256  # with how many records of a common key each later one is compared

Array = np.ndarray[Any, Any]
KEY = np.dtype([("key", "<u4"), ("signature", "<u8"), ("block", "<i8"), ("row", "<i4")])
PAIR = np.dtype([("first", "<i4"), ("block", "<i8"), ("row", "<i4"), ("same", "?")])
"""A pair of a block: the first record's row in it, block and row of the later one, whether their signatures are one."""


@dataclass(frozen=True)
class Sketches:
    """The signatures of a block's records that have texts.

    Args:
        rows: The records' rows in the block. `(n,)`
        sketches: Their MinHash signatures. `(n, slots)`
        short: Whether a record has so few words that only the same signature makes it a duplicate. `(n,)`
        ids: The records' ids.
    """

    rows: Array
    sketches: Array
    short: Array
    ids: list[str]

    def take(self, rows: Array) -> "Sketches":
        """Returns the signatures of some rows of the block."""
        at = np.searchsorted(self.rows, rows)
        return Sketches(rows, self.sketches[at], self.short[at], [self.ids[place] for place in at])


class SketchBlock(beam.DoFn):
    """Computes the signatures of a block's records: `(block, Sketches)`."""

    def __init__(self, step: RemoveNearDuplicates) -> None:
        self.step = step

    def process(self, block: Block) -> Iterator[tuple[int, Sketches]]:
        shingles = {row: found for row, record in enumerate(block.records) if (found := self.step.shingles(record))}
        if not shingles:
            return
        lengths = [len(found) + self.step.shingle_size - 1 for found in shingles.values()]
        yield (
            block.number,
            Sketches(
                np.array(list(shingles), np.int32),
                make_sketches(list(shingles.values())),
                np.array([length < self.step.min_words for length in lengths], np.bool_),
                [record_id(block.records[row]) for row in shingles],
            ),
        )


class DealKeys(beam.DoFn):
    """Deals the keys of a block's bands, and of whole signatures, to partitions: `(partition, (are_bands, KEY[]))`."""

    def __init__(self, step: RemoveNearDuplicates, partitions: int) -> None:
        self.step = step
        self.partitions = partitions

    def process(self, element: tuple[int, Sketches]) -> Iterator[tuple[int, tuple[bool, Array]]]:
        block, found = element
        signatures = hash_signatures(found)
        bands = make_band_keys(found.sketches, choose_rows(self.step.threshold), KEY_BITS).astype(np.uint32)
        yield from self.deal(False, block, found.rows, signatures, (signatures >> np.uint64(32)).astype(np.uint32))
        width = bands.shape[1]
        yield from self.deal(True, block, np.repeat(found.rows, width), np.repeat(signatures, width), bands.reshape(-1))

    def deal(
        self, are_bands: bool, block: int, rows: Array, signatures: Array, keys: Array
    ) -> Iterator[tuple[int, tuple[bool, Array]]]:
        """Deals entries to partitions by their keys."""
        entries = np.empty(len(keys), KEY)
        entries["key"], entries["signature"], entries["block"], entries["row"] = keys, signatures, block, rows
        partitions = keys % np.uint32(self.partitions)
        order = np.argsort(partitions, kind="stable")
        numbers, starts = np.unique(partitions[order], return_index=True)
        for number, at in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
            yield number, (are_bands, entries[at])


def hash_signatures(found: Sketches) -> Array:
    """Returns 64 bits of the hash of each signature, and of whether its text is short."""
    hashes = [
        blake2b(sketch.tobytes() + bytes([short]), digest_size=8).digest()
        for sketch, short in zip(found.sketches, found.short.tolist(), strict=True)
    ]
    return np.frombuffer(b"".join(hashes), np.uint64)


def find_candidates(dealt: tuple[int, Iterable[tuple[bool, Array]]]) -> Iterator[tuple[int, Array]]:
    """Finds the pairs within one partition; yields them by the first record's block."""
    parts = list(dealt[1])
    for are_bands in (False, True):
        mine = [entries for is_band, entries in parts if is_band is are_bands]
        if mine:
            entries = np.concatenate(mine)
            firsts, others = pair_bands(entries) if are_bands else pair_signatures(entries)
            yield from by_block(firsts, others, same=not are_bands)


def pair_signatures(entries: Array) -> tuple[Array, Array]:
    """Pairs each record with the first one of the same signature."""
    entries = entries[np.lexsort((entries["row"], entries["block"], entries["signature"]))]
    starts = start_of_runs(entries["signature"])
    later = np.flatnonzero(starts != np.arange(len(entries)))
    return entries[starts[later]], entries[later]


def pair_bands(entries: Array) -> tuple[Array, Array]:
    """Pairs the records of one key, of each signature the first, with the first 256 before each."""
    entries = entries[np.lexsort((entries["row"], entries["block"], entries["signature"], entries["key"]))]
    repeats = np.zeros(len(entries), np.bool_)
    repeats[1:] = (entries["key"][1:] == entries["key"][:-1]) & (entries["signature"][1:] == entries["signature"][:-1])
    entries = entries[~repeats]
    entries = entries[np.lexsort((entries["row"], entries["block"], entries["key"]))]
    starts = start_of_runs(entries["key"])
    ranks = np.arange(len(entries)) - starts
    firsts, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    later = np.flatnonzero(ranks > 0)
    for rank in range(MOST_FIRSTS):
        later = later[ranks[later] > rank]
        if not len(later):
            break
        firsts.append(starts[later] + rank)
        others.append(later)
    return entries[np.concatenate(firsts)], entries[np.concatenate(others)]


def start_of_runs(keys: Array) -> Array:
    """Returns for each of sorted keys where the run of equal keys begins."""
    new = np.ones(len(keys), np.bool_)
    new[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(new)
    run: Array = np.repeat(starts, np.diff(np.append(starts, len(keys))))
    return run


def by_block(firsts: Array, others: Array, *, same: bool) -> Iterator[tuple[int, Array]]:
    """Yields pairs by the block of their first record."""
    order = np.argsort(firsts["block"], kind="stable")
    firsts, others = firsts[order], others[order]
    pairs = np.empty(len(firsts), PAIR)
    pairs["first"], pairs["block"], pairs["row"], pairs["same"] = firsts["row"], others["block"], others["row"], same
    blocks, starts = np.unique(firsts["block"], return_index=True)
    yield from zip(blocks.tolist(), np.split(pairs, starts[1:]), strict=False)
