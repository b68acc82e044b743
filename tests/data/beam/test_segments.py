"""Segments are encoded once: across tries of a bundle, across runs, and again where documents or encoder changed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from tests.data.beam.corpora import run_transform
from tests.data.beam.worker_steps import LoadSegmentFiles
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.beam.block import Block
from tfchain.data.beam.segments import SegmentOptions, WriteSegments, WrittenSegment, next_number
from tfchain.data.beam.written_shards import ShardPart, deal_lines, encode, join_parts

pytestmark = pytest.mark.beam


def make_options(folder: Path, fingerprint: str = "model", die_at: str = "") -> SegmentOptions:
    (folder / "notes").mkdir(exist_ok=True)
    load = LoadSegmentFiles(str(folder / "notes"), die_at)
    return SegmentOptions(str(folder / "index"), str(folder / "done"), fingerprint, load)


def make_shards(*shards: list[str]) -> list[tuple[int, list[ShardPart]]]:
    """Shards of documents with these ids, each in two parts in the wrong order."""
    made = []
    for number, ids in enumerate(shards):
        lines = [json.dumps({"id": id, "text": "t"}).encode() + b"\n" for id in ids]
        parts = [ShardPart(100 * number + 1, "documents", lines[1:]), ShardPart(100 * number, "documents", lines[:1])]
        made.append((number, parts))
    return made


def write(shards: list[tuple[int, list[ShardPart]]], options: SegmentOptions) -> list[WrittenSegment]:
    found = run_transform(shards, lambda elements: elements | beam.ParDo(WriteSegments(options)))
    return sorted(found, key=lambda segment: segment.name)


def count_encoded(folder: Path) -> int:
    return len(list((folder / "notes").iterdir()))


def test_a_segment_has_its_documents_in_order(tmp_path: Path) -> None:
    written = write(make_shards(["3", "x"], ["7", "1"]), make_options(tmp_path))

    assert written == [
        WrittenSegment("segment-000001", 2, 4, ("ids.txt",)),
        WrittenSegment("segment-000002", 2, 8, ("ids.txt",)),
    ]
    assert (tmp_path / "index" / "segment-000001" / "ids.txt").read_text() == "3 x"
    assert (tmp_path / "index" / "segment-000002" / "ids.txt").read_text() == "7 1"


def test_what_is_whole_is_not_encoded_again(tmp_path: Path) -> None:
    first = write(make_shards(["a", "b"], ["c", "d"]), make_options(tmp_path))
    assert count_encoded(tmp_path) == 2

    assert write(make_shards(["a", "b"], ["c", "d"]), make_options(tmp_path)) == first
    assert count_encoded(tmp_path) == 2
    write(make_shards(["a", "b"], ["c", "e"]), make_options(tmp_path))  # another document in one of them
    assert count_encoded(tmp_path) == 3
    write(make_shards(["a", "b"], ["c", "e"]), make_options(tmp_path, fingerprint="another model"))
    assert count_encoded(tmp_path) == 5
    (tmp_path / "done" / "segment-000001.json").write_text("{broken")
    write(make_shards(["a", "b"], ["c", "e"]), make_options(tmp_path, fingerprint="another model"))
    assert count_encoded(tmp_path) == 6


PROGRAM = """
import sys
from pathlib import Path
from tests.data.beam.test_segments import make_options, make_shards, write
write(make_shards(["a", "b"], ["c", "d"], ["e", "f"]), make_options(Path(sys.argv[1]), die_at=sys.argv[2]))
"""


def test_a_run_that_was_killed_while_it_encoded_goes_on(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), "e"], timeout=120, check=False)
    assert killed.returncode == -9
    done = count_encoded(tmp_path)
    assert 0 < done < 3

    written = write(make_shards(["a", "b"], ["c", "d"], ["e", "f"]), make_options(tmp_path))
    assert [segment.documents for segment in written] == [2, 2, 2]
    assert count_encoded(tmp_path) == 3


def test_repeated_ids_stop_the_encoding(tmp_path: Path) -> None:
    do = WriteSegments(make_options(tmp_path))
    assert list(do.process(make_shards(["a", "b"])[0], repeated=[(0, 1)])) == []
    assert count_encoded(tmp_path) == 0


def test_rows_are_refused(tmp_path: Path) -> None:
    do = WriteSegments(make_options(tmp_path))
    with pytest.raises(InputError, match="An index is made of documents. Received: rows"):
        list(do.process((0, [ShardPart(0, "rows", [b"{}\n"])])))


def test_the_next_number_is_above_all_ids_that_are_numbers() -> None:
    ids = ["a", "12", "7", "1" * 30]
    assert next_number([Document(id, "t") for id in ids]) == 13
    assert next_number([Document("a", "t")]) == 0


def test_a_block_is_dealt_to_the_shards_of_its_records() -> None:
    records: list[Any] = [Document(str(number), "t") for number in range(5)]
    parts = list(deal_lines(encode(Block(9, records)), {9: 3}, 4))

    assert [(shard, part.start, len(part.lines)) for shard, part in parts] == [(0, 3, 1), (1, 4, 4)]


def test_documents_and_rows_do_not_mix() -> None:
    with pytest.raises(InputError, match="records of one kind. Received: rows after documents"):
        join_parts([ShardPart(1, "rows", []), ShardPart(0, "documents", [])])
