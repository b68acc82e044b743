"""The whole pipeline: read, apply steps, write shards and segments, and note what came of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.beam.apply_steps import LoadCallables, apply_steps
from tfchain.data.beam.block import BLOCKS_OF_PART, Block
from tfchain.data.beam.files import delete, join, read_bytes, write_bytes
from tfchain.data.beam.offsets import offsets_of
from tfchain.data.beam.run_errors import to_error
from tfchain.data.beam.segments import SegmentOptions, WriteSegments, WrittenSegment
from tfchain.data.beam.source_parts import ReadParts, SourcePart
from tfchain.data.beam.step_logs import AddLogs
from tfchain.data.beam.written_shards import FindRepeatedIds, WrittenShard, deal_lines, encode, write_one
from tfchain.data.files.shard_manifest import Kind, Shard, ShardFormat, hash_file
from tfchain.data.preparation.record_source import SourceFile
from tfchain.data.preparation.report import PreparationReport, log_to_plain, restore_log
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

ENTRY_BLOCKS = 64  # blocks whose entries go into one side file
RESULT_NAME = "result.json"


@dataclass(frozen=True)
class PipelinePlan:
    """What a pipeline does, in plain values and functions.

    Args:
        steps: The steps.
        work: The folder for the result, which the pipeline's start reads.
        folder: The folder of the shards; `None` writes none.
        format: The shards' format.
        shard_records: The number of records in a shard.
        side_name: The beginning of the side files' names; `None` writes none.
        segments: How to write segments; `None` writes none.
        load_callables: See `apply_steps`.
        partitions: See `apply_steps`.
        hashed: The names and paths of the source's files, to hash. Default: none.
    """

    steps: Sequence[Step]
    work: str
    folder: str | None
    format: ShardFormat
    shard_records: int
    side_name: str | None
    segments: SegmentOptions | None
    load_callables: LoadCallables | None
    partitions: int
    hashed: Sequence[tuple[str, Path]] = ()


@dataclass(frozen=True)
class PipelineResult:
    """What a pipeline wrote.

    Args:
        kind: Whether the records are documents or rows; `None` if there are none.
        shards: The shards, in order.
        segments: The segments, in order.
        side_files: The names of the side files.
        sources: The source's files, with their hashes.
        report: What the steps did.
    """

    kind: Kind | None
    shards: tuple[Shard, ...]
    segments: tuple[WrittenSegment, ...]
    side_files: tuple[str, ...]
    sources: list[dict[str, Any]]
    report: PreparationReport


def run_pipeline(source: list[SourcePart] | list[Block], plan: PipelinePlan, beam_options: Any) -> PipelineResult:
    """Runs a pipeline to its end.

    Args:
        source: The parts to read, or blocks of records in memory.
        plan: What to do.
        beam_options: Beam's options.

    Raises:
        InputError: what a step or a reader raises in a worker, with its message; or if two documents have one id.
        TfchainError: if the pipeline fails for another reason.
    """
    path = join(plan.work, RESULT_NAME)
    delete([path])
    try:
        with beam.Pipeline(options=beam_options) as pipeline:
            build(pipeline, source, plan, path)
    except Exception as error:
        raise to_error(error) from error
    data = read_bytes(path)
    if data is None:
        raise TfchainError(
            f"The pipeline ended, and {path} is missing. Expected a folder that this machine and all workers see, or "
            "one in an object store. Give such a folder as output."
        )
    return read_result(json.loads(data), plan.steps)


def build(pipeline: Any, source: list[SourcePart] | list[Block], plan: PipelinePlan, result_path: str) -> None:
    """Puts the pipeline together."""
    if source and isinstance(source[0], SourcePart):
        blocks = pipeline | "Read parts" >> ReadParts(source)
    else:
        blocks = pipeline | "Blocks in memory" >> beam.Create(source)
    read = blocks | "Count read" >> beam.Map(lambda block: len(block.records)) | beam.CombineGlobally(sum)
    with_entries = plan.side_name is not None
    applied = apply_steps(
        blocks,
        plan.steps,
        load_callables=plan.load_callables,
        with_entries=with_entries,
        partitions=plan.partitions,
    )
    offsets = offsets_of(applied.blocks)
    encoded = applied.blocks | "Encode records" >> beam.Map(encode)
    repeated = encoded | "Find repeated ids" >> FindRepeatedIds(offsets)
    shards = encoded | "Deal records" >> beam.FlatMap(deal_lines, offsets, plan.shard_records) | beam.GroupByKey()
    hashed = (
        pipeline
        | "Source files" >> beam.Create(list(enumerate(plan.hashed)), reshuffle=True)
        | "Hash files" >> beam.Map(lambda item: (item[0], hash_source(*item[1])))
    )
    none = pipeline | "Nothing" >> beam.Create([])
    written, segments = none, none
    if plan.folder is not None:
        written = shards | "Write shards" >> beam.FlatMap(
            write_one, beam.pvalue.AsList(repeated), plan.folder, plan.format
        )
    if plan.segments is not None:
        segments = shards | "Write segments" >> beam.ParDo(WriteSegments(plan.segments), beam.pvalue.AsList(repeated))
    side = none
    if with_entries and applied.entries:
        side = (
            applied.entries
            | "All entries" >> beam.Flatten()
            | "Deal entries" >> beam.Map(lambda found: (side_key(found[0]), found))
            | "Group entries" >> beam.GroupByKey()
            | "Write entries" >> beam.Map(write_entries, plan.folder, plan.side_name)
        )
    logs = (
        (applied.logs or [none])
        | "All logs" >> beam.Flatten(pipeline=pipeline)
        | "Add logs" >> beam.CombineGlobally(AddLogs([step.name for step in plan.steps]))
    )
    (
        pipeline
        | "Start of result" >> beam.Create([result_path])
        | "Write result"
        >> beam.Map(
            write_result,
            beam.pvalue.AsSingleton(read),
            beam.pvalue.AsSingleton(logs),
            beam.pvalue.AsList(repeated),
            beam.pvalue.AsList(written),
            beam.pvalue.AsList(segments),
            beam.pvalue.AsList(side),
            beam.pvalue.AsList(hashed),
        )
    )


def hash_source(name: str, path: Path) -> SourceFile:
    """Hashes a file of the source."""
    return SourceFile(name, path.stat().st_size, hash_file(path))


def side_key(block: int) -> tuple[int, int]:
    """Returns the part and the place in it of the side file that has a block's entries."""
    part, number = divmod(block, BLOCKS_OF_PART)
    return part, number // ENTRY_BLOCKS


def write_entries(element: tuple[tuple[int, int], Any], folder: str, name: str) -> str:
    """Writes a side file; returns its name."""
    (part, place), found = element
    start, dot, ending = name.rpartition(".")
    file = f"{start if dot else name}-{part:05d}-{place:05d}{dot}{ending if dot else ''}"
    ordered = sorted(found, key=lambda one: one[:2])
    lines = [json.dumps(entry, ensure_ascii=False, default=str) + "\n" for one in ordered for entry in one[2]]
    write_bytes(join(folder, file), "".join(lines).encode("utf-8", "replace"))
    return file


def write_result(
    path: str,
    read: int,
    logs: Sequence[StepLog],
    repeated: Sequence[tuple[int, int]],
    shards: Sequence[WrittenShard],
    segments: Sequence[WrittenSegment],
    side_files: Sequence[str],
    hashed: Sequence[tuple[int, SourceFile]],
) -> None:
    """Writes what came of the pipeline."""
    values = {
        "read": read,
        "logs": [log_to_plain(log) for log in logs],
        "repeated": min(repeated, default=None),
        "kinds": sorted({shard.kind for shard in shards}),
        "shards": [asdict(one.shard) for one in sorted(shards, key=lambda one: one.shard.name)],
        "segments": [asdict(one) for one in sorted(segments, key=lambda one: one.name)],
        "side_files": sorted(side_files),
        "sources": [asdict(file) for _, file in sorted(hashed, key=lambda item: item[0])],
    }
    write_bytes(path, json.dumps(values, default=str).encode())


def read_result(values: dict[str, Any], steps: Sequence[Step]) -> PipelineResult:
    """Makes the result of what `write_result` wrote.

    Raises:
        InputError: if two documents have one id, or documents and rows are mixed.
    """
    if values["repeated"] is not None:
        first, second = (number + 1 for number in values["repeated"])
        raise InputError(
            f"Two prepared documents have the same id: number {first:,} and number {second:,} of those that the steps "
            "pass on. Give each document of the source its own id, or leave the second one out."
        )
    kinds = values["kinds"]
    if len(kinds) > 1:
        raise InputError(
            f"A prepared set must have records of one kind. Received: {' and '.join(kinds)}. Prepare documents and "
            "rows into two sets."
        )
    logs = [StepLog(step.name) for step in steps]
    for log, plain in zip(logs, values["logs"], strict=True):
        restore_log(log, plain)
    shards = tuple(Shard(**shard) for shard in values["shards"])
    segments = tuple(WrittenSegment(**{**one, "files": tuple(one["files"])}) for one in values["segments"])
    written = sum(shard.records for shard in shards) if shards else sum(one.documents for one in segments)
    report = PreparationReport(values["read"], written, tuple(logs))
    return PipelineResult(
        kinds[0] if kinds else None, shards, segments, tuple(values["side_files"]), values["sources"], report
    )
