"""Writes encoded records into shards of equal size, in a way that a killed run can continue."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tfchain.core.errors import InputError
from tfchain.data.files.shard_manifest import Kind, Shard, ShardFormat, hash_file
from tfchain.data.preparation.encoded_block import EncodedBlock
from tfchain.data.preparation.id_file import find_equal_ids
from tfchain.data.preparation.shard_formats import write_shard

IDS_NAME = "ids"


@dataclass
class ShardWriter:
    """Writes into the shards of one set.

    Records are spooled as JSON lines; each `shard_records` of them become a shard. A position is a few plain values:
    a run that continues from one cuts the files off there. So the spool of the position that was kept last stays,
    even when its shard is finished.

    Args:
        folder: The folder of the shards.
        work: The folder of the spool and of the ids' digests.
        format: The shards' format.
        shard_records: How many records a shard has; the last may have fewer.

    Attributes:
        shards: The shards that are finished.
        kind: Whether the records are documents or rows; `None` before the first.
    """

    folder: Path
    work: Path
    format: ShardFormat
    shard_records: int
    shards: list[Shard] = field(default_factory=list)
    kind: Kind | None = None
    spooled: int = 0
    _kept: int = -1
    _spool: BinaryIO | None = None
    _ids: BinaryIO | None = None

    def write(self, block: EncodedBlock) -> None:
        """Writes records; finishes shards that are full.

        Raises:
            InputError: if documents and rows are mixed, or the records do not fit the format.
        """
        if block.kind is None:
            return
        if self.kind not in (None, block.kind):
            raise InputError(
                f"A prepared set must have records of one kind. Received: {block.kind} after {self.kind}. Prepare "
                "documents and rows into two sets."
            )
        if self.kind is None and block.kind == "documents" and self.format == "tfrecord":
            raise InputError(
                "TFRecords are for rows to train on. Received: format='tfrecord' for documents. Use format='jsonl' "
                "or 'parquet'.",
                argument="format",
            )
        self.kind = block.kind
        if block.digests:
            if self._ids is None:
                self._ids = open_at(self.work / IDS_NAME, 0)
            self._ids.write(block.digests)
        lines = block.lines
        while lines:
            if self._spool is None:
                self._spool = open_at(self._spool_path(), 0)
            taken = lines[: self.shard_records - self.spooled]
            self._spool.writelines(taken)
            self.spooled += len(taken)
            lines = lines[len(taken) :]
            if self.spooled == self.shard_records:
                self._finish_shard()

    def finish(self) -> None:
        """Finishes the last shard, and compares all ids.

        Raises:
            InputError: if two documents have the same id.
        """
        if self.spooled:
            self._finish_shard()
        self.check_ids()
        self.close()

    def check_ids(self) -> None:
        """Compares the ids of all documents so far.

        Raises:
            InputError: if two documents have the same id.
        """
        if self._ids is None:
            return
        self._ids.flush()
        equal = find_equal_ids(self.work / IDS_NAME)
        if equal is not None:
            first, second = (number + 1 for number in equal)
            raise InputError(
                f"Two prepared documents have the same id{self._show_id(equal[0])}: number {first:,} and number "
                f"{second:,} of those that the steps pass on. Give each document of the source its own id, or leave "
                "the second one out."
            )

    def position(self) -> dict[str, Any]:
        """Flushes what was written to disk; returns where it ends."""
        for file in filter(None, (self._spool, self._ids)):
            file.flush()
            os.fsync(file.fileno())
        return {
            "kind": self.kind,
            "shards": [asdict(shard) for shard in self.shards],
            "spooled": self.spooled,
            "spool_bytes": 0 if self._spool is None else self._spool.tell(),
            "id_bytes": 0 if self._ids is None else self._ids.tell(),
        }

    def keep(self) -> None:
        """Deletes the spools that only earlier positions needed; call it when the last position is kept."""
        self._kept = len(self.shards)
        for path in self.work.glob("spool-*"):
            if path != self._spool_path():
                path.unlink()

    def resume(self, position: dict[str, Any]) -> None:
        """Continues from a position, and drops what was written after it."""
        self.kind = position["kind"]
        self.shards = [Shard(**shard) for shard in position["shards"]]
        self.spooled = position["spooled"]
        keep = {shard.name for shard in self.shards}
        for path in self.folder.iterdir():
            if path.name not in keep:
                path.unlink()
        if self.spooled:
            self._spool = open_at(self._spool_path(), position["spool_bytes"])
        if position["id_bytes"]:
            self._ids = open_at(self.work / IDS_NAME, position["id_bytes"])
        self.keep()

    def close(self) -> None:
        """Closes the files."""
        for file in filter(None, (self._spool, self._ids)):
            file.close()
        self._spool = self._ids = None

    def _finish_shard(self) -> None:
        """Makes a shard of what is spooled."""
        assert self._spool is not None
        assert self.kind is not None
        self._spool.close()
        self._spool = None
        path = self.folder / f"part-{len(self.shards):05d}.{self.format}"
        first = self.folder / self.shards[0].name if self.shards else None
        write_shard(self._spool_path(), path, self.kind, self.format, first)
        if len(self.shards) != self._kept:
            self._spool_path().unlink()
        self.shards.append(Shard(path.name, self.spooled, path.stat().st_size, hash_file(path)))
        self.spooled = 0

    def _spool_path(self) -> Path:
        return self.work / f"spool-{len(self.shards):05d}"

    def _show_id(self, number: int) -> str:
        """Returns the id of a document that has been written, for an error."""
        lines: Sequence[bytes] = ()
        for shard in self.shards:
            if number < shard.records:
                if self.format != "jsonl":
                    return ""
                lines = (self.folder / shard.name).read_bytes().split(b"\n")
                break
            number -= shard.records
        else:
            if self._spool is None:
                return ""
            self._spool.flush()
            lines = self._spool_path().read_bytes().split(b"\n")
        return f", {json.loads(lines[number])['id']!r:.60}"


def open_at(path: Path, size: int) -> BinaryIO:
    """Opens a file for writing behind its first bytes; what follows them is dropped."""
    file = open(path, "r+b" if size else "wb")  # noqa: SIM115 - its owner closes it
    file.truncate(size)
    file.seek(size)
    return file
