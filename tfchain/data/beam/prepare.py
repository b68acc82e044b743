"""`prepare_with_beam`: what `prepare` writes, written by an Apache Beam pipeline."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.beam.apply_steps import PARTITIONS, LoadCallables
from tfchain.data.beam.block import Block
from tfchain.data.beam.corpus_steps import check_steps
from tfchain.data.beam.files import join, write_bytes
from tfchain.data.beam.options import make_options
from tfchain.data.beam.output_folder import OutputFolder, to_output
from tfchain.data.beam.pipeline import PipelinePlan, PipelineResult, run_pipeline
from tfchain.data.beam.source_parts import SourcePart, find_parts
from tfchain.data.files.shard_manifest import MANIFEST_NAME, Manifest, ShardFormat
from tfchain.data.preparation.card import Card, check_fields, describe_steps, make_fingerprint
from tfchain.data.preparation.prepare import SHARD_RECORDS, check_name
from tfchain.data.preparation.record_source import ReadAs, RecordSource, walk
from tfchain.data.preparation.set_writer import PreparedSet, SourceReader
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.step import Step


@dataclass(frozen=True)
class BeamSource:
    """A source as a pipeline reads it.

    Args:
        read: Whether its records are documents or rows.
        elements: Its parts; or its records in blocks, if they are in memory.
        files: The names and paths of its files.
        memory: The card's entry for records in memory; `None` for files.
    """

    read: ReadAs
    elements: list[SourcePart] | list[Block]
    files: list[tuple[str, Path]]
    memory: dict[str, Any] | None

    def stamps(self) -> list[int]:
        """Returns when the files were changed."""
        return [path.stat().st_mtime_ns for _, path in self.files]


def open_source(source: Any, read: ReadAs = "documents") -> BeamSource:
    """Finds out what a pipeline has to read.

    Args:
        source: What `prepare` takes. Files must be where all workers see them. Records in memory travel with the
            pipeline's description, so they should be few.
        read: As for `prepare`. Default: `documents`.

    Raises:
        InputError: if a file is missing, or a record in memory cannot be read.
    """
    records = RecordSource(source, read)
    if records.paths:
        files = [found for path in records.paths for found in walk(path)]
        return BeamSource(read, find_parts(records), files, None)
    reader = SourceReader(records)
    blocks: list[Block] = []
    while (block := reader.next_block()) is not None:
        blocks.append(Block(len(blocks), block))
    return BeamSource(read, blocks, [], {"records": reader.read, "sha256": reader.digest})


def prepare_with_beam(
    source: Any,
    output: Path | str,
    steps: Sequence[Any] = (),
    *,
    read: ReadAs = "documents",
    format: ShardFormat = "jsonl",
    shard_records: int = SHARD_RECORDS,
    side_file: str | None = None,
    card: Mapping[str, Any] | None = None,
    callables: Mapping[str, Callable[..., Any]] | None = None,
    load_callables: LoadCallables | None = None,
    partitions: int = PARTITIONS,
    options: Any = None,
) -> PreparedSet:
    """Runs steps over the records of a source on Apache Beam, and writes the set that `prepare` writes.

    Use it for corpora that take one machine too long. The DirectRunner runs it on a laptop; Flink, Spark and Dataflow
    by their runners' options. The files, their order and the fingerprint are those of `prepare`, with whatever runner
    and number of workers. Duplicates are found across the whole corpus. docs/beam.md has the details.

    A run that was killed is started again by the same call. What it reads and cleans, it reads and cleans again; each
    record is in the set exactly once.

    Args:
        source: As for `prepare`; files that all workers see, or few records in memory.
        output: The folder to make, on a disk that all workers see; or a URL such as `gs://bucket/set`.
        steps: As for `prepare`. Of the steps that look at many records, exact and near-duplicates.
        read: As for `prepare`. Default: `documents`.
        format: As for `prepare`; `parquet` for documents only. Default: `jsonl`.
        shard_records: As for `prepare`; a worker holds a shard in memory. Default: 10,000.
        side_file: As for `prepare`, but the file comes in pieces, `dropped-00000-00000.jsonl` and so on, which put
            together in their order are `prepare`'s. Default: nowhere.
        card: As for `prepare`. Default: nothing.
        callables: As for `prepare`; they travel to the workers by pickle. Default: none.
        load_callables: Returns callables, by name; called once in each worker. For models, which are too large to
            travel. Default: none.
        partitions: Among how many groups the keys of duplicates are dealt; a worker holds one group at a time. Default:
            64, enough for 10 million records.
        options: Beam's options: a list of flags, or `PipelineOptions`. Default: the DirectRunner.

    Returns:
        The set that was written.

    Raises:
        InputError: if an argument or a record is not what was expected, a step needs all records in order, or two
            documents have one id.
        TfchainError: if the pipeline fails, or another process writes the same output.
    """
    bound = bind_steps(steps, callables)
    if format not in get_args(ShardFormat) or (format == "parquet" and read == "rows"):
        raise InputError(
            f"`format` must be one of {', '.join(get_args(ShardFormat))}, and for rows 'jsonl' or 'tfrecord': workers "
            f"that write Parquet would have to know each other's columns. Received: format={format!r}.",
            argument="format",
        )
    check_whole_number("shard_records", shard_records)
    fields = check_fields(card)
    beam_options = make_options(options)
    made = to_output("output", output, MANIFEST_NAME)
    opened = open_source(source, read)
    plan = PipelinePlan(
        steps=bound,
        work=made.work,
        folder=made.folder,
        format=format,
        shard_records=shard_records,
        side_name=None if side_file is None else check_name(side_file),
        segments=None,
        load_callables=load_callables,
        partitions=check_whole_number("partitions", partitions),
        hashed=opened.files,
    )
    with made.opened():
        result = run_over(opened, plan, beam_options)
        return publish_set(opened, plan, result, made, fields)


def bind_steps(steps: Sequence[Any], callables: Mapping[str, Callable[..., Any]] | None) -> list[Step]:
    """Makes steps of what users write, and checks that Beam can run them.

    Raises:
        InputError: if one does not exist, or looks at many records in order.
    """
    if isinstance(steps, str | Mapping) or not isinstance(steps, Sequence):
        raise InputError(f"`steps` must be a list of steps. Received: {steps!r:.60}.", argument="steps")
    bound = [step.bind(**(callables or {})) for step in make_steps(steps)]
    check_steps(bound)
    return bound


def run_over(source: BeamSource, plan: PipelinePlan, beam_options: Any) -> PipelineResult:
    """Runs a pipeline over a source.

    Raises:
        InputError: as `run_pipeline`; or if a file of the source is changed meanwhile, or no record is left.
    """
    stamps = source.stamps()
    result = run_pipeline(source.elements, plan, beam_options)
    if source.stamps() != stamps:
        raise InputError("A file of the source was changed while it was read. Prepare it again when it is still.")
    if not result.report.written:
        raise InputError(
            f"No record is left to write. Received: {result.report.read:,} records of the source, all of which the "
            f"steps dropped:\n{result.report}"
        )
    return result


def publish_set(
    source: BeamSource, plan: PipelinePlan, result: PipelineResult, output: OutputFolder, fields: Mapping[str, Any]
) -> PreparedSet:
    """Adds report and card to a pipeline's shards, and makes a set of them."""
    assert result.kind is not None
    sources = [source.memory] if source.memory is not None else result.sources
    described = describe_steps(plan.steps)
    fingerprint = make_fingerprint(read=source.read, sources=sources, steps=described, shards=result.shards)
    manifest = Manifest(result.kind, plan.format, fingerprint, result.shards)
    card = Card(manifest, source.read, sources, described, result.report, fields)
    files = {
        "report.json": to_bytes(result.report.to_dict()),
        "card.json": to_bytes(card.to_dict()),
        "README.md": card.to_markdown().encode(),
    }
    for name, data in files.items():
        write_bytes(join(output.folder, name), data)
    names = [*files, *(shard.name for shard in result.shards), *result.side_files]
    output.publish(names, to_bytes(manifest.to_dict()))
    return PreparedSet(Path(output.path), manifest, result.report)


def to_bytes(values: Mapping[str, Any]) -> bytes:
    """Returns values as `write_json` writes them."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
