"""Folders and archives of mixed files are read as one corpus, and a broken file is one broken record."""

import gzip
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.data.extraction.make_files import HTML, looping_pdf, make_docx, make_pdf, make_zip, slow_pdf
from tests.data.pairs.test_reading import HubDataset
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.file_kinds import choose_files
from tfchain.data.documents.reading import DocumentReader, read_documents, read_for_index
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.read_session import ReadSession


def read(source: Any, **options: Any) -> dict[str, Document]:
    return {document.id: document for document in read_documents(source, **options)}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of files of several kinds, some in other encodings, some broken."""
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    files: dict[str, bytes] = {
        "a.pdf": make_pdf("paper one", "page two", title="Paper"),
        "b.html": HTML.encode(),
        "c.docx": make_docx(),
        "deep/d.md": b"# Notes\ntext",
        "deep/e.txt": "北京大学是中国最著名的大学之一。".encode("gb18030"),
        "f.txt.gz": gzip.compress(b"packed"),
        "g.zip": make_zip({"inner/h.txt": "in an archive", "table.csv": "id,text\n1,x\n"}),
        "empty.txt": b"",
        "picture.png": b"no",
        "table.csv": b"no,documents\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_of_mixed_files_is_one_corpus(mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = read(mixed)
    assert list(found) == [
        *("a.pdf", "b.html", "c.docx", "deep/d.md", "deep/e.txt", "f.txt.gz", "g.zip/inner/h.txt"),
    ]
    assert (found["a.pdf"].title, found["a.pdf"].metadata) == ("Paper", {"page_starts": [0, 11]})
    assert found["a.pdf"].text[11:] == "page two"
    assert [found[id].title for id in ("b.html", "c.docx", "deep/d.md")] == ["Cats", "Dogs", "Notes"]
    assert found["deep/e.txt"].text == "北京大学是中国最著名的大学之一。"
    assert found["f.txt.gz"].text == "packed"
    assert "Left out 2 files of" in caplog.text
    assert ".csv, .png." in caplog.text
    assert "Skipped 1 document with neither title nor text" in caplog.text
    assert "Read 1 file as gb18030, which is not UTF-8" in caplog.text


def test_broken_files_are_counted_and_kept_in_a_file(mixed: Path, tmp_path: Path) -> None:
    (mixed / "loop.pdf").write_bytes(looping_pdf())
    (mixed / "cut.docx").write_bytes(make_docx()[:-2000])
    (mixed / "bad.txt").write_bytes("é有ü".encode() + b"\xff")
    (mixed / "bomb.zip").write_bytes(make_zip({"x.txt": bytes(80 * 2**20)}))
    (mixed / "out.zip").write_bytes(make_zip({"../x.txt": "climbs", "ok.txt": "stays"}))
    whole = {"a.pdf", "b.html", "c.docx", "deep/d.md", "deep/e.txt", "f.txt.gz", "g.zip/inner/h.txt", "out.zip/ok.txt"}
    path = tmp_path / "broken.jsonl"
    assert set(read(mixed, max_broken=5, broken_file=path)) == whole
    entries = {json.loads(line)["place"].removeprefix(f"{mixed}/"): json.loads(line)["reason"] for line in path.open()}
    reasons = {
        "bad.txt": "not UTF-8: byte 0xff",
        "bomb.zip": "unpacks to more than 200 times its size",
        "cut.docx": "not a zip archive",
        "loop.pdf": "Detected cyclic page references",
        "out.zip/../x.txt": "leads out of the archive",
    }
    assert set(entries) == set(reasons)
    for place, reason in reasons.items():
        assert reason in entries[place]
    with pytest.raises(InputError, match=r"broken record number 5; `max_broken` allows 4"):
        read(mixed, max_broken=4)
    with pytest.raises(InputError, match=r"bad\.txt:1: not UTF-8"):
        read(mixed)


def test_a_pdf_that_takes_too_long_is_a_broken_record(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(slow_pdf())
    (tmp_path / "b.pdf").write_bytes(make_pdf("after"))
    assert list(read(tmp_path, max_broken=1, limits=ReadLimits(seconds=3))) == ["b.pdf"]


def test_a_source_of_nothing_but_broken_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("no\nno\n")
    with pytest.raises(InputError, match=r"Received only 2 broken records, the first: .*a\.jsonl:1"):
        read(tmp_path / "a.jsonl", max_broken=9)


def test_broken_lines_rows_and_records_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"id": 1, "text": "x"}\nno\n["y"]\n{"id": 2, "text": "caf\xe9"}\n{"id": 3}\n{"id": 1, "text": "again"}\n'
        b'{"id": 4, "text": 5}\n{"id": 6, "text": "z", "more": [1, {"mixed": null}]}\n'
    )
    assert list(read(tmp_path / "a.jsonl", max_broken=6)) == ["1", "6"]
    (tmp_path / "a.csv").write_text('id,text\n1,x\n2,y,z\n3,"a"b\n4,w\n')
    assert list(read(tmp_path / "a.csv", max_broken=2)) == ["1", "4"]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1, "text": "x"}\n' * 1, mtime=0)[:-3])
    assert list(read(tmp_path / "a.jsonl.gz", max_broken=1)) == ["1"]


def test_a_path_that_is_not_there_is_an_error_whatever_is_borne(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read([tmp_path / "none.txt"], max_broken=9)


ARCHIVES: dict[str, dict[str, str]] = {
    "beir.zip": {
        "set/corpus.jsonl": '{"_id": "1", "text": "x"}',
        "set/queries.jsonl": '{"_id": "q", "text": "y"}',
        "set/qrels/test.tsv": "q\t1\t1",
    },
    "records.zip": {"part-2.jsonl": '{"id": "2", "text": "y"}', "part-1.csv": "id,text\n1,x\n"},
    "documents.zip": {"b.txt": "y", "a/c.md": "# T", "records.jsonl": '{"text": "no"}'},
}


@pytest.mark.parametrize(
    ("name", "ids"), [("beir.zip", ["1"]), ("records.zip", ["1", "2"]), ("documents.zip", ["a/c.md", "b.txt"])]
)
def test_an_archive_is_read_as_a_folder_is(name: str, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(make_zip(ARCHIVES[name]))
    assert list(read(tmp_path / name)) == ids
    if name == "beir.zip":
        return
    with zipfile.ZipFile(tmp_path / name) as archive:
        archive.extractall(tmp_path / "folder")
    assert list(read(tmp_path / "folder")) == ids


def test_an_archive_without_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(make_zip({"x.png": "no"}))
    with pytest.raises(InputError, match=r"a\.zip has no file that documents are read from.* Received: 1 other files"):
        read(tmp_path / "a.zip")


def test_parquet_in_an_archive_and_compressed_tables_are_read(tmp_path: Path) -> None:
    import zstandard

    parquet.write_table(pyarrow.table({"id": ["1"], "text": ["x"]}), tmp_path / "t.parquet")
    (tmp_path / "a.zip").write_bytes(make_zip({"t.parquet": (tmp_path / "t.parquet").read_bytes()}))
    assert read(tmp_path / "a.zip") == {"1": Document("1", "x")}
    (tmp_path / "a.csv.zst").write_bytes(zstandard.compress(b"id,text\n1,x\n"))
    assert read(tmp_path / "a.csv.zst") == {"1": Document("1", "x")}


def test_the_corpus_of_a_folder_comes_before_its_documents() -> None:
    assert choose_files(["a.txt", "corpus.jsonl.gz"]).names == ["corpus.jsonl.gz"]
    assert choose_files(["a.txt", "set/corpus.jsonl"]).names == ["a.txt"]
    assert choose_files(["a.txt", "set/corpus.jsonl"], corpus_anywhere=True).names == ["set/corpus.jsonl"]
    assert choose_files(["collection.tsv", "a.txt"]).names == ["collection.tsv"]
    assert choose_files(["a.parquet.gz", "b.png"]).others == 2


def test_hub_datasets_and_tf_datasets_are_documents_too() -> None:
    import tensorflow as tf

    rows = {"id": ["1", "2"], "text": ["x", "y"], "year": [1, 2]}
    expected = {"1": Document("1", "x", metadata={"year": 1}), "2": Document("2", "y", metadata={"year": 2})}
    assert read(HubDataset(rows)) == expected
    assert read(tf.data.Dataset.from_tensor_slices(rows)) == expected
    assert read(tf.data.Dataset.from_tensor_slices(["a", "b"])) == {"0": Document("0", "a"), "1": Document("1", "b")}
    pairs = tf.data.Dataset.from_tensor_slices((["7", "8"], ["a", "b"]))
    assert read(pairs) == {"7": Document("7", "a"), "8": Document("8", "b")}
    with pytest.raises(InputError, match="expected a column named `text`"):
        read(HubDataset({"body": ["x"]}))
    with pytest.raises(InputError, match=r"`documents` must end\. Received: a tf\.data\.Dataset that repeats"):
        read(tf.data.Dataset.from_tensor_slices(rows).repeat())


def test_tfrecords_are_documents_also_where_tensorflow_cannot_open_them(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as writer:
        for id, text in (("1", "x"), ("2", "有")):
            features = {
                "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[id.encode()])),
                "text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
        writer.write(b"not an example")
    expected = {"1": Document("1", "x"), "2": Document("2", "有")}
    assert read(tmp_path / "d.tfrecord", max_broken=1) == expected
    (tmp_path / "a.zip").write_bytes(make_zip({"d.tfrecord": (tmp_path / "d.tfrecord").read_bytes()}))
    assert read(tmp_path / "a.zip", max_broken=1) == expected
    with pytest.raises(InputError, match=r"d\.tfrecord, record 3: expected a tf\.train\.Example"):
        read(tmp_path / "d.tfrecord")


def test_a_reader_counts_what_it_leaves_out() -> None:
    session = ReadSession(1)
    reader = DocumentReader(["a", "", 7, "d"], first_number=5, session=session)
    assert [document.id for document in reader] == ["5", "8"]
    assert (reader.next_number, reader.num_empty, session.broken) == (9, 1, 1)


def test_ids_may_repeat_where_nobody_keeps_them() -> None:
    rows = [{"id": "1", "text": "x"}] * 2
    assert len(list(DocumentReader(rows, unique_ids=False))) == 2


def test_an_index_cannot_keep_what_is_empty() -> None:
    with pytest.raises(InputError, match="`empty` must be 'skip' or 'error' for an index"):
        read_for_index(["a"], empty="keep", session=ReadSession())
