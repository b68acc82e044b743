"""`prepare`: reads records from a source, runs steps over them, and streams them or writes a set."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, overload

from tfchain.core.checks import check_whole_number, to_path
from tfchain.core.errors import InputError
from tfchain.core.progress import show_progress
from tfchain.data.documents.reading import ReadOptions
from tfchain.data.files.shard_manifest import ShardFormat
from tfchain.data.preparation.card import check_fields
from tfchain.data.preparation.record_source import ReadAs, RecordSource, count_records
from tfchain.data.preparation.report import PreparationReport
from tfchain.data.preparation.set_writer import PreparedSet, SetOptions, write_set
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.preparation.step_pipeline import StepPipeline, choose_workers
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step

SHARD_RECORDS = 10_000


class PreparedStream:
    """Records on their way through steps. Iterate over it once.

    Attributes:
        report: What was read and done so far; complete after the last record.
    """

    def __init__(
        self, source: RecordSource, steps: Sequence[Step], side_file: Path | None, progress: bool | None
    ) -> None:
        self._pipeline = StepPipeline(steps, with_entries=side_file is not None)
        self._read = 0
        self._written = 0
        self._records = self._run(source, side_file, progress)

    @property
    def report(self) -> PreparationReport:
        return PreparationReport(self._read, self._written, tuple(self._pipeline.run.logs))

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def _run(self, source: RecordSource, side_file: Path | None, progress: bool | None) -> Iterator[Record]:
        file = None if side_file is None else open(side_file, "w", encoding="utf-8")  # noqa: SIM115 - closed below
        try:
            with show_progress(count_records(source.source), "preparing", shown=progress) as advance:
                for records, entries in self._blocks(source, advance):
                    if file is not None:
                        file.writelines(json.dumps(entry, ensure_ascii=False, default=str) + "\n" for entry in entries)
                    for record in records:
                        self._written += 1
                        yield record
        finally:
            if file is not None:
                file.close()

    def _blocks(
        self, source: RecordSource, advance: Callable[[int], None]
    ) -> Iterator[tuple[list[Record], list[dict[str, Any]]]]:
        def counted() -> Iterator[list[Record]]:
            for block in source.blocks():
                self._read += len(block)
                yield block
                advance(len(block))

        yield from self._pipeline.records(counted())
        yield self._pipeline.finish()


@overload
def prepare(
    source: Any,
    steps: Sequence[Any] = (),
    *,
    output: None = None,
    read: ReadAs = "documents",
    reading: ReadOptions | None = None,
    side_file: Path | str | None = None,
    callables: Mapping[str, Callable[..., Any]] | None = None,
    progress: bool | None = None,
) -> PreparedStream: ...


@overload
def prepare(
    source: Any,
    steps: Sequence[Any] = (),
    *,
    output: Path | str,
    read: ReadAs = "documents",
    reading: ReadOptions | None = None,
    format: ShardFormat = "jsonl",
    shard_records: int = SHARD_RECORDS,
    side_file: Path | str | None = None,
    card: Mapping[str, Any] | None = None,
    callables: Mapping[str, Callable[..., Any]] | None = None,
    num_workers: int | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: bool | None = None,
) -> PreparedSet: ...


def prepare(
    source: Any,
    steps: Sequence[Any] = (),
    *,
    output: Path | str | None = None,
    read: ReadAs = "documents",
    reading: ReadOptions | None = None,
    format: ShardFormat = "jsonl",
    shard_records: int = SHARD_RECORDS,
    side_file: Path | str | None = None,
    card: Mapping[str, Any] | None = None,
    callables: Mapping[str, Callable[..., Any]] | None = None,
    num_workers: int | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: bool | None = None,
) -> PreparedStream | PreparedSet:
    """Runs steps over the records of a source: as a stream, or into a folder.

    A folder appears whole or not at all. It holds the records in shards, `manifest.json` with the hash of each shard,
    `report.json` with what each step did and examples of it, and the set's card, `card.json` and `README.md`. Its
    fingerprint is the same for the same inputs. `add`, `tfchain index` and `prepare` read a set of documents, `fit`
    and `prepare` one of rows, all by the folder's path; `PairShards` reads rows in Parquet and TFRecords.

    A run that was stopped, however, goes on from its last checkpoint when it is started again: the work folder
    `.preparing-NAME` beside the output has what it needs. What comes out is, byte for byte, the same.

    Args:
        source: For documents what `read_documents` takes, for rows what `read_pairs` takes (rows may have other
            columns, too): records in memory, or paths.
        steps: Steps, their names, or dicts of a name and its settings: see `make_steps`. Default: none, records are as
            they were read.
        output: The folder to make. It must not exist, or must be empty. Default: none, the records are streamed.
        read: Whether the source's records are `documents` or `rows`. Default: `documents`.
        reading: What becomes of documents that are empty, and of files and records that cannot be read. Default:
            `ReadOptions()`: empty ones are left out, and the first that cannot be read ends the run.
        format: The format of the shards: `jsonl`, `parquet` or, for rows, `tfrecord`. Default: `jsonl`.
        shard_records: The number of records in a shard; the last may have fewer. Default: 10,000.
        side_file: Where to write, as JSON lines, each record that a step dropped or changed: with `output` the name of
            a file in it, else a path. Default: nowhere.
        card: What to say about the set on its card, such as `name`, `description`, `licence`, `source_url`. Default:
            nothing.
        callables: What steps need of a model, by name, such as `count_tokens` and `encode`. One with an attribute
            `fingerprint` is compared with that of the run that is continued. Default: none.
        num_workers: The number of processes for the steps that look at one record alone; a stream has none. The
            result does not depend on it. Default: the number of processor cores; 1 in a process that has other
            threads, such as TensorFlow's.
        resume: Whether a stopped run is continued; False starts over. Default: True.
        checkpoint_seconds: The least time between two checkpoints, in seconds. Default: 30.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        The stream, which can be iterated over once; or, with `output`, the set that was written.

    Raises:
        InputError: if an argument or a record is not what was expected, two documents have one id, or the run to
            continue had other sources or steps.
        TfchainError: if the disk is full, or another process prepares the same output. The next run continues.

    Example:
        >>> stream = prepare(["The cat sleeps.", "The dog runs."])
        >>> [document.text for document in stream], stream.report.written
        (['The cat sleeps.', 'The dog runs.'], 2)
    """
    if isinstance(steps, str | Mapping) or not isinstance(steps, Sequence):
        raise InputError(f"`steps` must be a list of steps. Received: {steps!r:.60}.", argument="steps")
    bound = [step.bind(**(callables or {})) for step in make_steps(steps)]
    records = RecordSource(source, read, reading)
    if output is None:
        path = None if side_file is None else to_path("side_file", side_file)
        return PreparedStream(records, bound, path, progress)
    if format not in get_args(ShardFormat):
        raise InputError(
            f"`format` must be one of {', '.join(get_args(ShardFormat))}. Received: format={format!r}.",
            argument="format",
        )
    check_whole_number("shard_records", shard_records)
    if num_workers is not None:
        check_whole_number("num_workers", num_workers)
    options = SetOptions(
        format=format,
        shard_records=shard_records,
        side_file=None if side_file is None else check_name(side_file),
        card=check_fields(card),
        num_workers=choose_workers(num_workers),
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    return write_set(records, bound, to_path("output", output), options)


def check_name(side_file: Path | str) -> str:
    """Returns the name of a side file in the output's folder.

    Raises:
        InputError: if it is a path, or the name of another file of the set.
    """
    name = str(side_file)
    taken = ("manifest.json", "report.json", "card.json", "README.md")
    if Path(name).name != name or name in taken or name.startswith((".", "part-")) or name.endswith(".parquet"):
        raise InputError(
            f"With `output`, `side_file` must be the name of a file in it, such as 'dropped.jsonl', and none of "
            f"{', '.join(taken)}. Received: side_file={name!r:.80}.",
            argument="side_file",
        )
    return name
