"""Documents are read from what users have, and bad input ends in one clear error."""

import datetime
import decimal
import gzip
import json
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.reading import read_documents


class OldFrame:
    """Stands in for a data frame of a library that does not know Arrow's interface."""

    columns = ("text",)

    def to_dict(self, orient: str) -> list[dict[str, str]]:
        raise AssertionError("must not be called")


def read(source: Any, **options: Any) -> list[Document]:
    return list(read_documents(source, **options))


def test_strings_get_ids_from_their_order() -> None:
    assert read(["one", "two"]) == [Document("0", "one"), Document("1", "two")]
    assert read(["one", "two"], first_number=5) == [Document("5", "one"), Document("6", "two")]


def test_a_lone_string_dict_or_document_is_one_document() -> None:
    assert read("What a day") == [Document("0", "What a day")]
    assert read({"id": "a", "text": "one"}) == [Document("a", "one")]
    assert read(Document("a", "one")) == [Document("a", "one")]


def test_a_generator_of_all_kinds_is_read_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("from a file")
    taken = []

    def items() -> Iterator[Any]:
        for item in ["one", {"text": "two"}, Document("d", "three"), tmp_path / "notes.txt", np.str_("five")]:
            taken.append(item)
            yield item

    documents = read_documents(items())
    assert next(documents) == Document("0", "one")
    assert len(taken) == 1
    assert [(document.id, document.text) for document in documents] == [
        *(("1", "two"), ("d", "three"), ("notes.txt", "from a file"), ("4", "five")),
    ]


@pytest.mark.parametrize("key", ["id", "_id", "docid"])
@pytest.mark.parametrize("id", ["12", 12, np.int64(12)])
def test_the_keys_of_a_dict_are_taken_and_the_others_become_metadata(key: str, id: Any) -> None:
    record = {key: id, "title": "T", "text": "x", "year": 1999, "metadata": {"url": "http://a"}}
    assert read([record]) == [Document("12", "x", "T", {"year": 1999, "url": "http://a"})]


def test_an_id_or_title_of_none_counts_as_absent() -> None:
    assert read([{"id": None, "title": None, "text": "x"}]) == [Document("0", "x")]


def test_metadata_becomes_plain_python() -> None:
    metadata = {
        "number": np.float32(0.5),
        "array": np.array([1, 2]),
        "arrow": pyarrow.scalar("a"),
        "nested": {"tuple": (1, None, True)},
        "missing": float("nan"),
        "day": datetime.date(2024, 2, 29),
        "price": decimal.Decimal("1.50"),
    }
    (document,) = read([Document("a", "x", metadata=metadata)])
    assert document.metadata == {
        "number": 0.5,
        "array": [1, 2],
        "arrow": "a",
        "nested": {"tuple": [1, None, True]},
        "missing": None,
        "day": "2024-02-29",
        "price": "1.50",
    }
    assert json.loads(json.dumps(document.metadata, allow_nan=False)) == document.metadata


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["one", 7], r"^documents\[1\]: a document must be a text, a dict, .* Received: 7 of type int"),
        (["one", ("q", "d")], r"^documents\[1\]: .* of type tuple"),
        ([{"id": "a", "text": 3.5}], r"^documents\[0\]: .*`text` must be a string. Received: text=3.5 .*document 'a'"),
        ([{"id": True, "text": "x"}], r"`id` must be a string. Received: id=True of type bool"),
        ([{"id": "a", "body": "x"}], r"must have a `text`. Received: document 'a' with the keys 'id', 'body'"),
        ([{"text": "x", "metadata": "m"}], r"`metadata` must be a dict. Received: 'm' of type str \(document '0'\)"),
        ([{"text": "x", "tags": {"a": [b"b"]}}], r"^documents\[0\]: metadata 'tags.a\[0\]' must be .* of type bytes"),
        ([{"text": "x", "score": float("inf")}], r"metadata 'score' .* Received: inf"),
        ([{"text": "x", "metadata": {1: 2}}], r"metadata keys must be strings. Received: 1"),
        (b"bytes", r"must be a text, .* Received: bytes"),
        ({"one", "two"}, r"ordered iterable of them. Received: set"),
        (OldFrame(), r"Received: OldFrame. Use .*`table.to_pylist\(\)`"),
        (7, r"Received: int"),
    ],
)
def test_what_is_no_document_is_refused_by_its_place(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(source)


EMPTY = {
    "list": ["one", " ", {"id": "n", "text": None}, Document("d", "", " "), {"id": "t", "title": "T", "text": ""}],
    "d.jsonl": ['"one"', '" "', "null"],
    "d.csv": ["one", '" "', '""'],
    "folder": ["one", "\n", ""],
    "d.parquet": ["one", " ", None],
}


def make_empty(kind: str, folder: Path) -> Any:
    """Documents of which the first has a text and two or three have neither text nor title."""
    if kind == "list":
        return EMPTY[kind]
    if kind == "d.jsonl":
        (folder / kind).write_text("".join(f'{{"text": {text}}}\n' for text in EMPTY[kind]))
    elif kind == "d.csv":
        (folder / kind).write_text("\n".join(["text", *EMPTY[kind]]))
    elif kind == "d.parquet":
        parquet.write_table(pyarrow.table({"text": EMPTY[kind]}), folder / kind)
    else:
        for name, text in zip("abc", EMPTY[kind], strict=True):
            (folder / f"{name}.txt").write_text(text)
        return folder
    return folder / kind


@pytest.mark.parametrize("kind", EMPTY)
def test_documents_that_are_empty_are_skipped_refused_or_kept_in_every_reader(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_empty(kind, tmp_path)
    count = 3 if kind == "list" else 2
    texts = ["one", ""] if kind == "list" else ["one"]
    assert [document.text for document in read(source)] == texts
    assert f"Skipped {count} documents with neither title nor text, the first at" in caplog.text
    with pytest.raises(InputError, match="A document must have a text or a title. Received: document .* with neither"):
        read(source, empty="error")
    kept = read(source, empty="keep")
    assert len(kept) == count + len(texts)
    assert sum(document.is_empty for document in kept) == count


def test_a_skipped_document_keeps_its_number() -> None:
    assert [document.id for document in read(["one", "", "three"])] == ["0", "2"]


def test_an_unknown_word_for_empty_is_refused() -> None:
    with pytest.raises(InputError, match="`empty` must be one of skip, error, keep. Received: empty='drop'"):
        read(["one"], empty="drop")


def test_an_id_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "a", "text": "x"}\n\n{"id": "b", "text": "y"}\n')
    message = r"^documents\[1\]: the id 'b' appears twice in one call, first at .*d.jsonl:3\."
    with pytest.raises(InputError, match=message):
        read([tmp_path / "d.jsonl", Document("b", "z")])
    with pytest.raises(InputError, match=r"documents\[1\]: the id '1' appears twice .* first at documents\[0\]"):
        read([{"id": 1, "text": "x"}, "y"])


def test_a_lone_string_that_names_something_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("inside")
    monkeypatch.chdir(tmp_path)
    for source in ("docs", "docs/", "docs/a.txt", Path("docs")):
        assert [document.text for document in read(source)] == ["inside"]
    assert read(["docs"]) == [Document("0", "docs")]


@pytest.mark.parametrize("source", ["docs/missing", "corpus.jsonl", "notes.md", "corpus.jsonl.gz", "/no/such"])
def test_a_lone_string_that_looks_like_a_path_is_not_taken_for_a_text(source: str) -> None:
    with pytest.raises(InputError, match=f"^No such file or folder: {source}.* If it is a text to add"):
        read(source)


@pytest.mark.parametrize("text", ["cats / dogs", "See notes.md", "你好，我是一个智能助手。", "word", "a\0b"])
def test_other_lone_strings_are_texts(text: str) -> None:
    assert read(text) == [Document("0", text)]


@pytest.mark.parametrize("name", ["missing", "missing.jsonl", "missing.csv", "missing.parquet", "missing.txt"])
def test_a_missing_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"No such file.*{name}"):
        read(tmp_path / name)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.xml").write_text("<a/>")
    with pytest.raises(InputError, match=r"Expected a file that ends in \.txt.* Received: .*data\.xml"):
        read(tmp_path / "data.xml")


RECORDS = [
    {"id": "1", "title": "Eins", "text": 'He said: "a,\tb"\nand left.', "year": "1999"},
    {"id": "2", "title": "", "text": "你好\u2028世界" + "x" * 200_000, "year": "2000"},
]
EXPECTED = [Document(r["id"], r["text"], r["title"], {"year": r["year"]}) for r in RECORDS]


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz", "d.csv", "d.csv.gz", "d.tsv", "d.TSV.gz", "d.parquet"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_kind_of_file_gives_the_same_documents(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    if name == "d.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(RECORDS), path, row_group_size=1)
    else:
        if "jsonl" in name:
            text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)
        else:
            between = "," if "csv" in name else "\t"
            rows = [
                list(RECORDS[0]),
                *(['"' + value.replace('"', '""') + '"' for value in r.values()] for r in RECORDS),
            ]
            text = "".join(between.join(row) + "\r\n" for row in rows)
        data = (mark + text).encode()
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(path) == EXPECTED


def test_parquet_values_become_plain(tmp_path: Path) -> None:
    rows = [{"_id": 7, "text": "x", "when": datetime.datetime(2024, 1, 2, 3), "tags": ["a"], "box": {"w": 1.5}}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    metadata = {"when": "2024-01-02T03:00:00", "tags": ["a"], "box": {"w": 1.5}}
    assert read(tmp_path / "d.parquet") == [Document("7", "x", metadata=metadata)]


def test_a_metadata_column_of_a_csv_file_is_a_value_like_others(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,metadata\nx,some\n")
    assert read(tmp_path / "d.csv") == [Document("0", "x", metadata={"metadata": "some"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", b'{"text": "x"}\n{"text": "y"\n', r"d\.jsonl:2: broken JSON: Expecting ',' delimiter"),
        ("d.jsonl", b'{"text": "x"}\n\n["y"]\n', r"d\.jsonl:3: expected a JSON object. Received: list"),
        ("d.jsonl", b'[\n{"text": "x"}]', r"d\.jsonl:1: broken JSON: .* one JSON array must be rewritten"),
        (
            "d.jsonl",
            b'{"text": "x"}\n{"id": "b", "title": "y"}',
            r"d\.jsonl:2: A document must have a `text`.*'id', 'title'",
        ),
        (
            "d.jsonl",
            b'{"text": "x"}\n{"text": 5}',
            r"d\.jsonl:2: A document's `text` must be a string. Received: text=5",
        ),
        ("d.jsonl", b'{"text": "\\ud83d"}', r"d\.jsonl:1: A document's `text` must be valid Unicode"),
        (
            "d.jsonl",
            b'{"text": "x"}\n{"text": "caf\xe9"}',
            r"d\.jsonl:2: not UTF-8: byte 0xe9 at offset 27.*iconv -f ENC",
        ),
        ("d.jsonl", '{"text": "x"}'.encode("utf-16"), r"d\.jsonl:1: not UTF-8: .*offset 0\. .*iconv -f UTF-16"),
        ("d.jsonl", b"", r"d\.jsonl is empty"),
        ("d.jsonl", b"\n \n", r"d\.jsonl holds no records"),
        ("d.jsonl.gz", b'{"text": "x"}', r"Could not unpack .*d\.jsonl\.gz after line 0: Not a gzipped file"),
        (
            "d.jsonl.gz",
            gzip.compress(b'{"text": "x"}\n' * 99, mtime=0)[:-9],  # a time would be in the test's name, and differ
            r"Could not unpack .*Expected a whole gzip file",
        ),
        ("d.csv", b"", r"d\.csv is empty"),
        ("d.csv", b"id,text\n", r"d\.csv holds no records"),
        ("d.csv", b"id,body\n1,x\n", r"d\.csv: expected a column named `text`.*Received the columns: id, body"),
        ("d.csv", b"text,text\nx,y\n", r"d\.csv: expected each column once. Received twice: text"),
        ("d.csv", b'id,text\n1,"x\ny"\n2,x,y\n', r"d\.csv:4: expected 2 cells \(id, text\). Received: 3"),
        ("d.csv", b'id,text\n1,x\n2,"y\n', r"d\.csv:3: broken row: unexpected end of data"),
        ("d.csv", b"id,text\n1,x\n2,\xff\n", r"d\.csv:3: not UTF-8: byte 0xff at offset 14"),
        ("d.tsv", b"id,text\n1,x\n", r"d\.tsv: expected a column named `text`.*columns: id,text"),
        ("d.parquet", b"PAR1 not really", r"Could not read .*d\.parquet as Parquet"),
        ("d.txt", b"\xef\xbb\xbfgood\nbad \xff", r"d\.txt:2: not UTF-8: byte 0xff at offset 12"),
    ],
)
def test_broken_files_are_refused_by_file_and_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_parquet_file_without_texts_or_rows_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet: expected a column named `text`.*columns: body"):
        read(tmp_path / "d.parquet")
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet holds no records"):
        read(tmp_path / "d.parquet")


def test_a_folder_of_text_is_read_in_order_without_what_is_hidden(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in {
        "b.txt": "# no heading here",
        "a/z.md": "---\n```\n# not this\n```\n## The title ##\n# Second",
        "a/b.rst": "rst",
        "A.TEXT": "upper",
        "empty.txt": "\n",
        ".hidden.txt": "no",
        ".git/x.txt": "no",
        "picture.png": "no",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with caplog.at_level(logging.INFO):
        documents = read(tmp_path)
    assert [(document.id, document.title) for document in documents] == [
        *(("A.TEXT", ""), ("a/b.rst", ""), ("a/z.md", "The title"), ("b.txt", "")),
    ]
    assert documents[2].text.startswith("---\n```")
    assert [record.getMessage().replace(str(tmp_path), "F") for record in caplog.records] == [
        "Left out 1 files of F: .png.",
        "Skipped 1 document with neither title nor text, the first at F/empty.txt.",
    ]


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.xml").write_text("<a/>")
    with pytest.raises(InputError, match=r"has no file that documents are read from\. .*Received: 1 other files"):
        read(tmp_path)


def test_tables_in_a_folder_are_read_only_if_it_has_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"id": "2", "text": "y"}')
    (tmp_path / "a.csv").write_text("id,text\n1,x\n")
    assert [document.id for document in read(tmp_path)] == ["1", "2"]
    (tmp_path / "c.txt").write_text("z")
    assert [document.id for document in read(tmp_path)] == ["c.txt"]


def test_a_beir_folder_is_read_and_its_blank_documents_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ['{"_id": "1", "title": "", "text": ""}', '{"_id": "2", "title": "T", "text": "", "metadata": {}}']
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    (tmp_path / "readme.txt").write_text("not a document")
    assert read(tmp_path) == [Document("2", "", "T")]
    assert "Skipped 1 document with" in caplog.text
    assert "corpus.jsonl:1" in caplog.text


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "d.jsonl.gz", "wt", compresslevel=1) as file:
        for number in range(2000):
            file.write(json.dumps({"id": str(number), "text": "x" * 10_000}) + "\n")
    next(read_documents(tmp_path / "d.jsonl.gz"))  # what is imported on first use stays
    tracemalloc.start()
    assert sum(len(document.text) for document in read_documents(tmp_path / "d.jsonl.gz")) == 20_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_the_shared_corpora_are_read_whole(shared_data: Path) -> None:
    sizes = {"scifact": 5183, "cmrc2018": 3507, "dbpedia_sub": 5000, "dureader_demo": 916, "squad_dev": 2067}
    assert {name: sum(1 for _ in read_documents(shared_data / name)) for name in sizes} == sizes
    assert len(read(shared_data / "banking77" / "test.csv")) == 3080
