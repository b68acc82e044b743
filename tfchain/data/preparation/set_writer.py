"""Writes a prepared set: the loop over blocks, its checkpoints, and the folder that appears at the end."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tfchain.core.atomic import rename_folder, sync_folder, sync_tree, write_file, write_json, writing
from tfchain.core.errors import InputError
from tfchain.core.progress import show_progress
from tfchain.data.documents.reading import ReadOptions
from tfchain.data.files.shard_manifest import MANIFEST_NAME, Manifest, ShardFormat
from tfchain.data.preparation.card import Card, describe_steps, make_fingerprint
from tfchain.data.preparation.encoded_block import EncodedBlock, encode_block, encode_line
from tfchain.data.preparation.record_source import RecordSource, count_records, to_plain_files
from tfchain.data.preparation.report import PreparationReport
from tfchain.data.preparation.shard_writer import ShardWriter, open_at
from tfchain.data.preparation.step_pipeline import StepPipeline
from tfchain.data.preparation.work_folder import WorkFolder
from tfchain.data.shards.files import COUNTS_FORMAT, COUNTS_NAME
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step

PLAN_FORMAT = 1
CHECKPOINT_SHARE = 20  # a checkpoint takes at most a twentieth of the time


@dataclass(frozen=True)
class SetOptions:
    """How a set is written; see `prepare`."""

    format: ShardFormat
    shard_records: int
    side_file: str | None
    card: Mapping[str, Any]
    num_workers: int
    resume: bool
    checkpoint_seconds: float
    progress: bool | None


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set that was written.

    Args:
        path: Its folder.
        manifest: Its files, and its fingerprint.
        report: What the steps did.
    """

    path: Path
    manifest: Manifest
    report: PreparationReport

    @property
    def fingerprint(self) -> str:
        """The hash of the set, the same for the same inputs."""
        return self.manifest.fingerprint


@dataclass
class SourceReader:
    """Reads a source block by block, counts its records, and hashes those in memory and behind URLs.

    Args:
        source: The source.

    Attributes:
        read: How many records were read.
        digest: The hash of the records from memory or a URL; empty for files, which are hashed themselves.
    """

    source: RecordSource
    read: int = 0
    digest: str = ""
    _blocks: Iterator[list[Record]] = field(init=False)
    ended: bool = False

    def __post_init__(self) -> None:
        self._blocks = self.source.blocks()

    def next_block(self) -> list[Record] | None:
        """Returns the next records; `None` at the end."""
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
            return None
        self.read += len(block)
        if not self.source.paths:
            content = hashlib.sha256(self.digest.encode())
            for record in block:
                content.update(encode_line(record))
            self.digest = content.hexdigest()
        return block

    def skip_to(self, read: int, digest: str, output: Path) -> None:
        """Reads what an earlier run has read.

        Raises:
            InputError: if these are other records.
        """
        while self.read < read and self.next_block() is not None:
            pass
        if (self.read, self.digest) != (read, digest):
            raise InputError(
                f"The stopped preparation of {output} cannot be continued: the first {read:,} records of the source "
                "are not those that it has read. Give it the same records, or start over with `resume=False`."
            )


def write_set(source: RecordSource, steps: Sequence[Step], output: Path, options: SetOptions) -> PreparedSet:
    """Prepares a source's records into a folder; see `prepare`."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"`output` must not exist, or must be an empty folder. Received: {output}, which exists. Name another "
            "folder, or delete it.",
            argument="output",
        )
    output = output.absolute()
    described = describe_steps(steps)
    with StepPipeline(steps, num_workers=options.num_workers, with_entries=options.side_file is not None) as pipeline:
        work = WorkFolder(output)
        with work.locked():
            try:
                with writing(output):
                    return SetRun(source, described, output, options, pipeline, work).run()
            finally:
                work.remove_if_useless()


class SetRun:
    """One run of a preparation that writes; see `write_set`."""

    def __init__(
        self,
        source: RecordSource,
        described: list[dict[str, Any]],
        output: Path,
        options: SetOptions,
        pipeline: StepPipeline,
        work: WorkFolder,
    ) -> None:
        self.source = source
        self.described = described
        self.output = output
        self.options = options
        self.pipeline = pipeline
        self.work = work
        self.reader = SourceReader(source)
        self.writer = ShardWriter(work.set_path, work.path, options.format, options.shard_records)
        self.side: BinaryIO | None = None
        self.pause_seconds = options.checkpoint_seconds

    def run(self) -> PreparedSet:
        """Runs from the beginning, or from the last checkpoint of a stopped run, to the end."""
        sources = to_plain_files(self.source.hash_files())
        stamps = [file.stat().st_mtime_ns for file in self.source.files()]
        resumes = self.work.begin(self._plan(sources), resume=self.options.resume)
        try:
            self._open(resumes)
            with show_progress(count_records(self.source.source), "preparing", shown=self.options.progress) as advance:
                advance(self.reader.read)
                while not self.reader.ended:
                    self._run_span(advance)
            records, entries = self.pipeline.finish()
            self._write(encode_block(records), entries)
            self.writer.finish()
        finally:
            self.writer.close()
            if self.side is not None:
                self.side.close()
        if [file.stat().st_mtime_ns for file in self.source.files()] != stamps:
            raise InputError("A file of the source was changed while it was read. Prepare it again when it is still.")
        if not sources:
            name = {} if self.source.name is None else {"name": self.source.name}
            sources = [{**name, "records": self.reader.read, "sha256": self.reader.digest}]
        return self._publish(sources)

    def _plan(self, sources: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns what must be the same for a stopped run to be continued."""
        return {
            "plan_format": PLAN_FORMAT,
            "sources": sources,
            "read": self.source.read,
            "reading": describe_reading(self.source.reading),
            "steps": self.described,
            "models": [
                {name: getattr(getattr(step, name), "fingerprint", None) for name in step.needs}
                for step in self.pipeline.run.steps
            ],
            "format": self.options.format,
            "shard_records": self.options.shard_records,
            "side_file": self.options.side_file,
        }

    def _open(self, resumes: bool) -> None:
        """Opens the files where the last checkpoint ends, or anew."""
        side_bytes = 0
        if resumes:
            position = self.work.load(self.pipeline.run)
            self.reader.skip_to(position["read"], position["digest"], self.output)
            self.writer.resume(position)
            side_bytes = position["side_bytes"]
        if self.options.side_file is not None:
            self.side = open_at(self.work.path / "side", side_bytes)

    def _run_span(self, advance: Callable[[int], None]) -> None:
        """Runs blocks until a checkpoint is due or the source ends, and makes the checkpoint."""
        end = time.monotonic() + self.pause_seconds
        for encoded, entries in self.pipeline.process(self._blocks(end, advance)):
            self._write(encoded, entries)
        if not self.reader.ended:
            start = time.monotonic()
            self._make_checkpoint()
            self.pause_seconds = max(self.options.checkpoint_seconds, CHECKPOINT_SHARE * (time.monotonic() - start))

    def _blocks(self, end: float, advance: Callable[[int], None]) -> Iterator[list[Record]]:
        """Yields blocks until a time."""
        while (block := self.reader.next_block()) is not None:
            yield block
            advance(len(block))
            if time.monotonic() >= end:
                break

    def _write(self, encoded: EncodedBlock, entries: Sequence[Mapping[str, Any]]) -> None:
        """Writes what became of a block."""
        self.writer.write(encoded)
        if self.side is not None:
            self.side.writelines(
                (json.dumps(entry, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace")
                for entry in entries
            )

    def _make_checkpoint(self) -> None:
        """Keeps how far the run has come. All blocks that were read have been written."""
        self.writer.check_ids()
        side_bytes = 0
        if self.side is not None:
            self.side.flush()
            os.fsync(self.side.fileno())
            side_bytes = self.side.tell()
        position = {"read": self.reader.read, "digest": self.reader.digest, "side_bytes": side_bytes}
        self.work.save(self.pipeline.run, {**position, **self.writer.position()})
        self.writer.keep()

    def _publish(self, sources: Sequence[Mapping[str, Any]]) -> PreparedSet:
        """Adds manifest, report and card, and gives the folder its name."""
        folder, shards = self.work.set_path, tuple(self.writer.shards)
        if not shards or self.writer.kind is None:
            raise InputError(
                f"No record is left to write. Received: {self.reader.read:,} records of the source, all of which the "
                f"steps dropped:\n{self._report()}"
            )
        fingerprint = make_fingerprint(read=self.source.read, sources=sources, steps=self.described, shards=shards)
        manifest = Manifest(self.writer.kind, self.options.format, fingerprint, shards)
        report = self._report()
        card = Card(manifest, self.source.read, sources, self.described, report, self.options.card)
        if self.options.side_file is not None:
            (self.work.path / "side").replace(folder / self.options.side_file)
        if self.options.format == "tfrecord":
            rows = {shard.name: shard.records for shard in shards}
            write_json(folder / COUNTS_NAME, {"format": COUNTS_FORMAT, "rows": rows})
        write_json(folder / "report.json", report.to_dict())
        write_json(folder / "card.json", card.to_dict())
        write_file(folder / "README.md", card.to_markdown())
        write_json(folder / MANIFEST_NAME, manifest.to_dict())
        sync_tree(folder)
        rename_folder(folder, self.output)
        sync_folder(self.output.parent)
        self.work.remove()
        return PreparedSet(self.output, manifest, report)

    def _report(self) -> PreparationReport:
        written = sum(shard.records for shard in self.writer.shards)
        return PreparationReport(self.reader.read, written, tuple(self.pipeline.run.logs))


def describe_reading(reading: ReadOptions | None) -> dict[str, Any]:
    """Returns the part of how a source is read that decides which of its records are."""
    reading = reading or ReadOptions()
    return {"empty": reading.empty, "max_broken": reading.max_broken}
