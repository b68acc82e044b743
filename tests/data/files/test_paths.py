"""Paths are read as users write them, and no pipe, link or name of a file keeps a folder from being read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir
from tfchain.data.documents.reading import read_documents
from tfchain.data.files.lines import read_lines
from tfchain.data.pairs.reading import read_pairs
from tfchain.data.shards.pair_shards import PairShards, read_tfrecord_pairs, write_tfrecords


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_home_folder_is_found_by_every_reader(home: Path) -> None:
    (home / "my texts").mkdir()
    (home / "my texts" / "a b.txt").write_text("x")
    (home / "rows.jsonl").write_text('{"query": "q", "positive": "d"}\n')
    for source in ("~/my texts", Path("~/my texts"), [Path("~/my texts")]):
        assert list(read_documents(source)) == [Document("a b.txt", "x")]
    assert read_pairs("~/rows.jsonl").columns == (["q"], ["d"])
    assert next(read_lines("~/rows.jsonl"))[0] == 1
    write_tfrecords("~/rows.jsonl", "~/out", shards=1)
    assert (home / "out" / "shards.json").is_file()
    assert PairShards("~/out").count_rows() == 1
    assert [row["query"] for row in read_tfrecord_pairs(["~/out/pairs-00000-of-00001.tfrecord"])] == ["q"]
    (home / "set" / "qrels").mkdir(parents=True)
    (home / "set" / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    (home / "set" / "queries.jsonl").write_text('{"_id": 1, "text": "one"}\n')
    (home / "set" / "qrels" / "test.tsv").write_text("1\ta\t1\n")
    assert read_beir("~/set").qrels == {"1": {"a": 1}}
    assert read_pairs("~/set", split="test").columns == (["one"], ["x"])


@pytest.mark.parametrize("text", ["~", "~ 5 kg", "~nobody-of-this-name"])
def test_a_text_that_begins_with_a_tilde_is_a_text(home: Path, text: str) -> None:
    assert list(read_documents(text)) == [Document("0", text)]


def test_pipes_and_broken_links_in_a_folder_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "a pipe.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "nowhere.md").symlink_to("missing.md")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "real.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to("real.txt")
    assert [document.id for document in read_documents(tmp_path)] == ["link.txt", "real.txt"]
    assert [record.getMessage().replace(str(tmp_path), "F") for record in caplog.records] == [
        "Left out 3 of F: links that lead nowhere, pipes or devices, the first F/a pipe.txt."
    ]


def test_a_folder_of_nothing_but_pipes_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(InputError, match="has no file that documents are read from.*Received: 1 other files"):
        list(read_documents(tmp_path))


READERS: dict[str, Callable[[Path], Any]] = {
    "d.txt": lambda path: list(read_documents(path)),
    "d.jsonl": lambda path: list(read_documents(path)),
    "d.csv": read_pairs,
    "d.parquet": read_pairs,
    "d.tfrecord": read_pairs,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=rf"Expected an ordinary file. Received a pipe, .*{name}"):
        READERS[name](tmp_path / name)


def test_sockets_loops_and_names_with_nul_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jsonl")
        with pytest.raises(InputError, match=r"Received a pipe, a socket or a device: s\.jsonl"):
            list(read_documents(Path("s.jsonl")))
    Path("loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(InputError, match=r"Could not open loop\.jsonl: Too many levels of symbolic links"):
        list(read_documents(Path("loop.jsonl")))
    with pytest.raises(InputError, match=r"Expected the path of a file. Received: 'a\\x00b.jsonl', with a NUL in it"):
        list(read_documents(Path("a\0b.jsonl")))
    Path("d.jsonl").mkdir()
    with pytest.raises(InputError, match=r"Expected a file. Received the folder d\.jsonl"):
        list(read_lines("d.jsonl"))


def test_one_file_whose_name_is_not_utf8_does_not_keep_a_folder_from_being_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"good.txt", b"caf\xe9.txt"):
        with open(os.path.join(folder, name), "w") as file:
            file.write("x")
    assert [document.id for document in read_documents(tmp_path)] == ["good.txt"]
    assert (
        caplog.records[0]
        .getMessage()
        .endswith(
            r"files whose names are not UTF-8 (rename them: the name is the document's id), the first "
            rf"{tmp_path}/caf\xe9.txt."
        )
    )
    with pytest.raises(InputError, match=r"a file whose name is UTF-8.* Received: .*/caf\\xe9\.txt\. Rename it"):
        list(read_documents(Path(os.fsdecode(os.path.join(folder, b"caf\xe9.txt")))))


def test_files_below_a_folder_whose_own_name_is_not_utf8_are_read(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9")))
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    assert list(read_documents(folder)) == [Document("a.txt", "x")]


def test_an_offset_behind_a_byte_order_mark_counts_the_mark(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbfid,text\n1,x\n2,\xff\n")
    with pytest.raises(InputError, match=r"d\.csv:3: not UTF-8: byte 0xff at offset 17"):
        list(read_documents(tmp_path / "d.csv"))


@pytest.mark.parametrize("ending", [b"parquet", b"tfrecord"])
def test_files_that_arrow_and_tensorflow_open_need_a_name_in_utf8(tmp_path: Path, ending: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9." + ending)))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"Expected a path in UTF-8. Received: .*/caf\\xe9\..*Rename it"):
        read_pairs(path)
