"""MS MARCO's files are documents, judged queries and triples, also where the collection is read by offsets."""

import gzip
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.judged import is_judged_folder, read_judged
from tfchain.data.documents.reading import read_documents
from tfchain.data.documents.tsv_lookup import TsvLookup
from tfchain.data.pairs.reading import read_pairs

PASSAGES = "0\tthe first passage\n1\tle café, 有\n7\tthe last\n"
DOCS = "D1\thttp://a\tFirst\tbody one\nD2\thttp://b\tSecond\tbody two, 有\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "collection.tsv").write_text(PASSAGES)
    (tmp_path / "queries.train.tsv").write_text("10\twhat is first\n11\twhere is coffee\n12\tnot judged\n")
    (tmp_path / "qrels.train.tsv").write_text("10\t0\t0\t1\n11\t0\t1\t1\n11\t0\t7\t0\n")
    return tmp_path


def test_a_collection_is_documents(folder: Path) -> None:
    expected = [Document("0", "the first passage"), Document("1", "le café, 有"), Document("7", "the last")]
    assert list(read_documents(folder / "collection.tsv")) == expected
    assert list(read_documents(folder)) == expected


def test_documents_have_title_and_address(tmp_path: Path) -> None:
    (tmp_path / "msmarco-docs.tsv.gz").write_bytes(gzip.compress(DOCS.encode()))
    assert list(read_documents(tmp_path)) == [
        Document("D1", "body one", "First", {"url": "http://a"}),
        Document("D2", "body two, 有", "Second", {"url": "http://b"}),
    ]


def test_a_folder_is_judged_queries_and_training_pairs(folder: Path) -> None:
    assert is_judged_folder(folder)
    judged = read_judged(folder, split="train")
    assert judged.queries == {"10": "what is first", "11": "where is coffee"}
    assert judged.qrels == {"10": {"0": 1}, "11": {"1": 1, "7": 0}}
    assert [list(column) for column in read_pairs(folder).columns] == [
        ["what is first", "where is coffee"],
        ["the first passage", "le café, 有"],
    ]
    with pytest.raises(InputError, match=r"lacks files of MS MARCO. Expected collection.tsv, queries.dev.tsv"):
        read_judged(folder, split="dev")


def test_triples_of_texts_and_of_ids_are_rows(folder: Path) -> None:
    (folder / "triples.train.small.tsv").write_text("q\tgood\tbad\nr\tfine\tworse\n")
    (folder / "qidpidtriples.train.full.2.tsv").write_text("10\t0\t7\n11\t1\t0\n")
    assert [list(column) for column in read_pairs(folder / "triples.train.small.tsv").columns] == [
        *(["q", "r"], ["good", "fine"], ["bad", "worse"]),
    ]
    assert [list(column) for column in read_pairs(folder / "qidpidtriples.train.full.2.tsv").columns] == [
        ["what is first", "where is coffee"],
        ["the first passage", "le café, 有"],
        ["the last", "the first passage"],
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("triples.train.tsv", "q\tgood\n", r"triples\.train\.tsv:1: expected a query and two passages"),
        ("qidpidtriples.train.tsv", "99\t0\t1\n", r"tsv:1: the query '99' is not among the queries"),
        ("qidpidtriples.train.tsv", "10\t0\t5\n", r"tsv:1: .*collection\.tsv has no document '5'"),
        ("qidpidtriples.dev.tsv", "10\t0\t5\n", r"Expected the queries beside it, in queries\.dev\.tsv"),
    ],
)
def test_broken_triples_are_refused_by_their_line(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_pairs(folder / name)


def test_triples_of_ids_without_a_collection_are_refused(tmp_path: Path) -> None:
    (tmp_path / "qidpidtriples.train.tsv").write_text("1\t2\t3\n")
    with pytest.raises(InputError, match="holds ids. Expected the passages beside it"):
        read_pairs(tmp_path / "qidpidtriples.train.tsv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("collection.tsv", "0\ta\tb\n", r"collection\.tsv:1: expected a passage's id and text, .* Received: 3 cells"),
        ("queries.train.tsv", "10\n", r"queries\.train\.tsv:1: expected a query's id and text"),
        ("queries.train.tsv", "1\ta\n1\tb\n", r"queries\.train\.tsv:2: the query id '1' appears twice"),
        ("queries.train.tsv", "10\ta\n", r"1 of 2 judged queries are not in queries\.train\.tsv, such as '11'"),
        ("qrels.train.tsv", "10 0 0\n", r"qrels\.train\.tsv:1: expected a query id, 0, a document id"),
    ],
)
def test_broken_files_are_refused_by_their_line(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_judged(folder, split="train").documents())


def test_documents_are_found_by_the_offsets_of_a_file(tmp_path: Path) -> None:
    docs = tmp_path / "msmarco-docs.tsv"
    docs.write_text(DOCS)
    second = len(DOCS.split("\n")[0]) + 1
    (tmp_path / "msmarco-docs-lookup.tsv").write_text(f"D2\t9999\t{second}\nD1\t0\t0\n")
    expected = Document("D2", "body two, 有", "Second", {"url": "http://b"})
    with TsvLookup(docs, tmp_path / "msmarco-docs-lookup.tsv") as lookup:
        assert (len(lookup), lookup.read("D2"), lookup.read("D1").title) == (2, expected, "First")
    with TsvLookup(docs) as lookup:  # found by reading
        assert lookup.read("D2") == expected
        with pytest.raises(InputError, match="has no document 'D3'"):
            lookup.read("D3")
    (tmp_path / "msmarco-docs-lookup.tsv").write_text(f"D1\t0\t{second}\n")
    with (
        TsvLookup(docs, tmp_path / "msmarco-docs-lookup.tsv") as lookup,
        pytest.raises(InputError, match="expected document 'D1', as the offsets say. Received: 'D2'"),
    ):
        lookup.read("D1")
    with pytest.raises(InputError, match="must be a .tsv file. .* Unpack it"):
        TsvLookup(tmp_path / "msmarco-docs.tsv.gz")
