"""Tests of removing records from files of each kind."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tfchain.core.errors import InputError
from tfchain.data.forgetting.files import forget_in_file
from tfchain.data.forgetting.target import Target

TARGET = Target(frozenset({"b"}), frozenset({"the secret"}))
ROWS = [{"id": "a", "text": 'one, "quoted"'}, {"id": "b", "text": "two"}, {"id": "c", "text": "the secret"}]


def test_lines_of_json_keep_their_bytes(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text":"eins","id":"a"}\n\n{"id": "b"}\n{"x": ["the secret"]}\n{"id":"d"}')
    path.chmod(0o640)
    assert forget_in_file(path, TARGET) == 2
    assert path.read_text() == '{"text":"eins","id":"a"}\n\n{"id":"d"}'
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_packed_lines_stay_packed(tmp_path: Path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)))
    assert forget_in_file(path, TARGET) == 2
    assert gzip.decompress(path.read_bytes()) == json.dumps(ROWS[0]).encode() + b"\n"


@pytest.mark.parametrize(("name", "delimiter"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_cells(tmp_path: Path, name: str, delimiter: str):
    path = tmp_path / name
    quoted = '"one, ""quoted"""'
    path.write_text(f"id{delimiter}text\na{delimiter}{quoted}\nb{delimiter}two\nc{delimiter}the secret\n")
    assert forget_in_file(path, TARGET) == 2
    assert path.read_text() == f"id{delimiter}text\na{delimiter}{quoted}\n"


def test_parquet(tmp_path: Path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert forget_in_file(path, TARGET) == 2
    assert parquet.read_table(path).to_pylist() == ROWS[:1]


def test_tfrecords(tmp_path: Path):
    import tensorflow as tf

    path = tmp_path / "rows.tfrecord"

    def to_example(row: dict[str, str]) -> bytes:
        features = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()])) for name, value in row.items()
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in ROWS:
            writer.write(to_example(row))
    assert forget_in_file(path, TARGET) == 2
    left = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert left == [to_example(ROWS[0])]


def test_a_report_loses_its_examples(tmp_path: Path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"received": 3, "examples": ROWS}))
    assert forget_in_file(path, TARGET) == 2
    assert json.loads(path.read_text()) == {"received": 3, "examples": ROWS[:1]}


def test_a_file_without_a_match_is_not_written(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n')
    before = path.stat().st_ino
    assert forget_in_file(path, TARGET) == 0
    assert path.stat().st_ino == before


@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.jsonl", b'{"id": "b"}\n{"id": '), ("rows.parquet", b"PAR1"), ("rows.jsonl.gz", b"\x1f\x8b\x08\x00rest")],
)
def test_a_broken_file_stays_as_it_is(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Could not read .*Nothing in it was changed."):
        forget_in_file(path, TARGET)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_another_kind_of_file_is_refused(tmp_path: Path):
    path = tmp_path / "letter.docx"
    path.write_bytes(b"b")
    with pytest.raises(InputError, match=r"Expected a file that ends in .json, .jsonl, .*Received: .*letter.docx"):
        forget_in_file(path, TARGET)
