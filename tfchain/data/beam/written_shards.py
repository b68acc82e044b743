"""Writes the records of a corpus into the shards that `prepare` writes, whichever worker writes which."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.beam.block import Block
from tfchain.data.beam.files import join, write_bytes
from tfchain.data.files.shard_manifest import Kind, Shard, ShardFormat
from tfchain.data.preparation.encoded_block import DIGEST_BYTES, EncodedBlock, encode_block
from tfchain.data.preparation.shard_formats import write_shard

ID_PARTITIONS = 64


@dataclass(frozen=True)
class ShardPart:
    """Neighbouring records of a shard.

    Args:
        start: How many records of the corpus stand before them.
        kind: Whether they are documents or rows.
        lines: Each as a line of JSON in UTF-8, with its line feed.
    """

    start: int
    kind: Kind
    lines: list[bytes]


@dataclass(frozen=True)
class WrittenShard:
    """A shard that was written.

    Args:
        kind: Whether its records are documents or rows.
        shard: Its name, size and hash.
    """

    kind: Kind
    shard: Shard


def encode(block: Block) -> tuple[int, EncodedBlock]:
    """Encodes the records of a block; gives its number with them."""
    return block.number, encode_block(block.records)


def deal_lines(
    element: tuple[int, EncodedBlock], offsets: dict[int, int], shard_records: int
) -> Iterator[tuple[int, ShardPart]]:
    """Deals a block's records to shards: the first `shard_records` of the corpus belong to shard 0, and so on."""
    number, block = element
    start, lines = offsets[number], block.lines
    assert block.kind is not None
    while lines:
        shard, before = divmod(start, shard_records)
        taken = lines[: shard_records - before]
        yield shard, ShardPart(start, block.kind, taken)
        start, lines = start + len(taken), lines[len(taken) :]


def join_parts(parts: Iterable[ShardPart]) -> tuple[Kind, list[bytes]]:
    """Returns the kind and the lines of a shard's parts, in order.

    Raises:
        InputError: if documents and rows are mixed.
    """
    ordered = sorted(parts, key=lambda part: part.start)
    for part in ordered:
        if part.kind != ordered[0].kind:
            raise mixed_error(part.kind, ordered[0].kind)
    return ordered[0].kind, [line for part in ordered for line in part.lines]


def mixed_error(kind: str, other: str) -> InputError:
    """Makes the error for documents among rows, or rows among documents."""
    return InputError(
        f"A prepared set must have records of one kind. Received: {kind} after {other}. Prepare documents and rows "
        "into two sets."
    )


def write_one(
    element: tuple[int, Iterable[ShardPart]], repeated: Sequence[Any], folder: str, form: ShardFormat
) -> Iterator[WrittenShard]:
    """Writes one shard. Tried again, it writes the same file in the place of the first.

    Args:
        element: The shard's number, and its parts.
        repeated: Ids that occur twice: then nothing is written, as the run is going to fail.
        folder: The folder of the shards.
        form: Their format.
    """
    if repeated:
        return
    number, parts = element
    kind, lines = join_parts(parts)
    if form == "jsonl":
        data = b"".join(lines)
    else:
        with tempfile.TemporaryDirectory() as name:
            spool, path = Path(name, "spool"), Path(name, "shard")
            spool.write_bytes(b"".join(lines))
            write_shard(spool, path, kind, form, None)
            data = path.read_bytes()
    file = f"part-{number:05d}.{form}"
    write_bytes(join(folder, file), data)
    yield WrittenShard(kind, Shard(file, len(lines), len(data), hashlib.sha256(data).hexdigest()))


class FindRepeatedIds(beam.PTransform):
    """Finds documents with equal ids among encoded blocks: `(number, other number)`, from 0, for one pair of each id.

    Args:
        offsets: The side input of the blocks' offsets.
    """

    def __init__(self, offsets: Any) -> None:
        super().__init__()
        self.offsets = offsets

    def expand(self, encoded: Any) -> Any:
        return (
            encoded
            | "Deal ids" >> beam.FlatMap(deal_ids)
            | "Group ids" >> beam.GroupByKey()
            | "Compare ids" >> beam.FlatMap(find_repeated, self.offsets)
        )


def deal_ids(element: tuple[int, EncodedBlock]) -> Iterator[tuple[int, tuple[int, Any, Any]]]:
    """Deals the digests of a block's ids to partitions: `(partition, (block, rows, digests))`."""
    number, block = element
    digests = np.frombuffer(block.digests, np.uint64).reshape(-1, DIGEST_BYTES // 8)
    partitions = digests[:, 0] % np.uint64(ID_PARTITIONS) if len(digests) else np.empty(0, np.uint64)
    for partition in np.unique(partitions):
        rows = np.flatnonzero(partitions == partition)
        yield int(partition), (number, rows, digests[rows])


def find_repeated(
    dealt: tuple[int, Iterable[tuple[int, Any, Any]]], offsets: dict[int, int]
) -> Iterator[tuple[int, int]]:
    """Finds equal digests within one partition."""
    parts = list(dealt[1])
    numbers = np.concatenate([offsets[block] + rows for block, rows, _ in parts])
    digests = np.concatenate([part[2] for part in parts])
    order = np.lexsort((numbers, digests[:, 1], digests[:, 0]))
    equal = np.flatnonzero((digests[order[1:]] == digests[order[:-1]]).all(axis=1))
    for place in equal:
        yield int(numbers[order[place]]), int(numbers[order[place + 1]])
