"""Parts of a source: what one worker reads on its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from tfchain.data.beam.block import cut_blocks
from tfchain.data.documents.reading import DocumentReader
from tfchain.data.files.shard_manifest import find_shards, read_manifest
from tfchain.data.pairs.sources import find_files
from tfchain.data.preparation.record_source import ReadAs, RecordSource
from tfchain.data.steps.record import Record

FEW_PARTS = 32  # with fewer, what is read is dealt out anew, so that all workers have work


@dataclass(frozen=True)
class SourcePart:
    """A file or a folder that one worker reads.

    Args:
        number: Its number in the source.
        path: The path.
        read: Whether its records are documents or rows.
        alone: Whether it is the whole source.
    """

    number: int
    path: Path
    read: ReadAs
    alone: bool

    def records(self) -> Iterator[Record]:
        """Reads the records.

        A document without an id gets its number in the source; where there are several parts, the file's name, a colon
        and its number in the file, since nobody knows how many records the files before have.
        """
        if self.read == "rows":
            for block in RecordSource(self.path, "rows").blocks():
                yield from block
            return
        before = "" if self.alone else f"{self.path.name}:"
        yield from DocumentReader(self.path, unique_ids=False, id_prefix=before)


def find_parts(source: RecordSource) -> list[SourcePart]:
    """Returns the parts of a source of files: each file by itself; a folder of text files is one part.

    Raises:
        InputError: if a file is missing.
    """
    paths = [part for path in source.paths for part in cut_path(path, source.read)]
    return [SourcePart(number, path, source.read, len(paths) == 1) for number, path in enumerate(paths)]


def cut_path(path: Path, read: ReadAs) -> list[Path]:
    """Returns the files of a prepared set or a folder of rows; else the path itself."""
    if not path.is_dir():
        return [path]
    manifest = read_manifest(path)
    if manifest is not None:
        return find_shards(path, manifest) if manifest.format == "jsonl" or read == "rows" else [path]
    return find_files(path) if read == "rows" else [path]


class ReadParts(beam.PTransform):
    """Reads the parts of a source; gives blocks.

    Args:
        parts: The parts.
    """

    def __init__(self, parts: list[SourcePart]) -> None:
        super().__init__()
        self.parts = parts

    def expand(self, begin: Any) -> Any:
        blocks = (
            begin
            | "Parts" >> beam.Create(self.parts, reshuffle=True)
            | "Read" >> beam.FlatMap(lambda part: cut_blocks(part.records(), part.number))
        )
        return blocks | "Deal blocks" >> beam.Reshuffle() if len(self.parts) < FEW_PARTS else blocks
