"""Segments of an index: documents are encoded where they are, each shard once, by an encoder that is handed in."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.beam.files import join, read_bytes, write_bytes
from tfchain.data.beam.written_shards import ShardPart, join_parts

MakeFiles = Callable[[Sequence[Document]], Mapping[str, bytes]]


@dataclass(frozen=True)
class SegmentOptions:
    """How shards of documents become segments of an index.

    Args:
        folder: The folder of the index: a segment is a folder in it, `segment-000001` and so on.
        done_folder: The folder of the notes that a segment is whole, by which a run that starts again skips it.
        fingerprint: The fingerprint of the encoder and its settings: segments of another one are made again.
        load: Returns the function that encodes documents and returns the files of their segment, by name; called once
            in each worker.
    """

    folder: str
    done_folder: str
    fingerprint: str
    load: Callable[[], MakeFiles]


@dataclass(frozen=True)
class WrittenSegment:
    """A segment that was written.

    Args:
        name: Its folder's name.
        documents: How many documents it has.
        next_number: One more than the largest id that is a number; 0 if there is none.
        files: Its files' names.
    """

    name: str
    documents: int
    next_number: int
    files: tuple[str, ...]


@dataclass
class Loaded:
    """The function that makes segments, in an object that `Shared` can hold."""

    make_files: MakeFiles


class WriteSegments(beam.DoFn):
    """Encodes the documents of a shard into a segment, unless an earlier run or try has.

    A note with the hash of the documents and the encoder's fingerprint is written last. So a segment counts only when
    it is whole, and only for the same documents and encoder; tried again, it takes the place of what was there.

    Args:
        options: Where and how.
    """

    def __init__(self, options: SegmentOptions) -> None:
        self.options = options
        self.shared = Shared()
        self._loaded: Loaded | None = None

    def process(
        self, element: tuple[int, Iterable[ShardPart]], repeated: Sequence[Any] = ()
    ) -> Iterator[WrittenSegment]:
        if repeated:
            return
        number, parts = element
        kind, lines = join_parts(parts)
        if kind != "documents":
            raise InputError("An index is made of documents. Received: rows to train on. Use read='documents'.")
        name = f"segment-{number + 1:06d}"
        key = blake2b(self.options.fingerprint.encode(), digest_size=16)
        for line in lines:
            key.update(line)
        note_path = join(self.options.done_folder, f"{name}.json")
        note = read_note(note_path)
        if note.get("key") == key.hexdigest():
            beam.metrics.Metrics.counter("tfchain", "segments kept").inc()
            yield WrittenSegment(name, note["documents"], note["next_number"], tuple(note["files"]))
            return
        documents = [Document(**json.loads(line)) for line in lines]
        files = self.load().make_files(documents)
        for file, data in files.items():
            write_bytes(join(self.options.folder, name, file), data)
        written = WrittenSegment(name, len(documents), next_number(documents), tuple(sorted(files)))
        values = {"key": key.hexdigest(), **vars(written)}
        write_bytes(note_path, json.dumps(values).encode())
        beam.metrics.Metrics.counter("tfchain", "segments written").inc()
        yield written

    def load(self) -> Loaded:
        """Loads the encoder when a first segment needs it; all threads of a worker share it."""
        if self._loaded is None:
            load = self.options.load
            self._loaded = self.shared.acquire(lambda: Loaded(load()))
        return self._loaded


def read_note(path: str) -> dict[str, Any]:
    """Reads a note; empty if there is none, or a broken one."""
    data = read_bytes(path)
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def next_number(documents: Sequence[Document]) -> int:
    """Returns one more than the largest id that is a number; 0 if there is none."""
    return max((int(d.id) + 1 for d in documents if d.id.isdecimal() and len(d.id) < 19), default=0)
