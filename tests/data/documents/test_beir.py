"""BEIR folders and dicts become datasets; broken ones are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.documents.beir import is_beir_folder, read_beir, to_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n')
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "1", "text": "one"}\n{"_id": "2", "text": "two"}\n{"_id": "3", "text": ""}\n'
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n")
    (tmp_path / "qrels" / "dev.tsv").write_text("2\tb\t1\r\n\r\n")
    return tmp_path


def test_a_folder_gives_the_judged_queries_and_grades(folder: Path) -> None:
    dataset = read_beir(folder)
    assert dataset.queries == {"1": "one"}
    assert dataset.qrels == {"1": {"a": 2, "b": 0}}
    assert [document.id for document in dataset.documents()] == ["a", "b"]
    assert [document.id for document in dataset.documents()] == ["a", "b"]


def test_another_split_without_column_names_is_read(folder: Path) -> None:
    assert read_beir(folder, split="dev").qrels == {"2": {"b": 1}}


def test_a_beir_folder_is_known_by_its_corpus(folder: Path) -> None:
    assert is_beir_folder(folder)
    assert not is_beir_folder(folder / "qrels")
    assert not is_beir_folder(folder / "missing")


def test_judged_documents_that_are_not_there_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "qrels" / "test.tsv").write_text("1\ta\t1\n1\tz\t1\n")
    assert len(list(read_beir(folder).documents())) == 2
    assert "1 of 2 judged documents are not in the corpus (z, …)" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("qrels/test.tsv", "1\ta\t1\n1\tb\n", r"test\.tsv:2: expected a query id, .* Received: '1\\tb'"),
        ("qrels/test.tsv", "q\td\ts\n1\ta\t0.5\n", r"test\.tsv:2: .* a whole number"),
        ("qrels/test.tsv", "1\ta\t1\n1\ta\t2\n", r"test\.tsv:2: document 'a' has two grades for query '1': 1 and 2"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", r"test\.tsv holds no judgements"),
        ("qrels/test.tsv", "", r"test\.tsv is empty"),
        ("qrels/test.tsv", "9\ta\t1\n1\ta\t1\n", r"1 of 2 judged queries are not in queries.jsonl, such as '9'"),
        ("qrels/test.tsv", "3\ta\t1\n", r"queries\.jsonl:3: a query must be a text that is not empty. Received: ''"),
        ("queries.jsonl", '{"_id": "1", "text": "x"}\n' * 2, r"queries\.jsonl:2: the query id '1' appears twice"),
        ("queries.jsonl", '{"_id": "1"}', r"queries\.jsonl:1: a query must have `_id` and `text`"),
        ("queries.jsonl", '{"_id": "1", "text": 7}', r"queries\.jsonl:1: a query must be a text .*Received: 7"),
    ],
)
def test_broken_folders_are_refused_by_file_and_line(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_beir(folder)


def test_a_split_that_is_not_there_names_those_that_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no qrels/train.tsv. Received: split='train'. Available: \['dev', 'test'\]"):
        read_beir(folder, split="train")


def test_a_folder_that_is_not_beir_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is not a BEIR folder. .*Missing: corpus.jsonl"):
        read_beir(folder / "qrels")


def test_dicts_give_a_dataset_of_the_judged_queries() -> None:
    dataset = to_dataset(queries={"1": "one", "2": "two"}, qrels={"1": {"a": 1}, "2": {}}, documents=["x"])
    assert dataset.queries == {"1": "one"}
    assert dataset.qrels == {"1": {"a": 1}}
    assert [document.id for document in dataset.documents()] == ["0"]


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        ({"1": "x"}, {}, "must judge at least one query"),
        ({"1": "x"}, {"2": {"a": 1}}, "names 1 queries that `queries` lacks, such as '2'"),
        ({"1": "x"}, {"1": {"a": 0.5}}, r"qrels\['1'\]\['a'\]: a grade must be a whole number. Received: 0.5"),
        ({"1": " "}, {"1": {"a": 1}}, r"queries\['1'\]: a query must be a text that is not empty"),
    ],
)
def test_broken_dicts_are_refused(queries: Any, qrels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_dataset(queries=queries, qrels=qrels)


def test_a_dataset_without_documents_says_so() -> None:
    with pytest.raises(InputError, match="Give `documents=`"):
        list(to_dataset(queries={"1": "x"}, qrels={"1": {"a": 1}}).documents())


def test_the_shared_folders_have_the_sizes_of_their_publications(shared_data: Path) -> None:
    sizes = {"scifact": (300, 339), "squad_dev": (10570, 10570), "cmrc2018": (3219, 3219), "dureader_demo": (None, 453)}
    for name, (num_queries, num_grades) in sizes.items():
        dataset = read_beir(shared_data / name)
        assert num_queries in (None, len(dataset.queries))
        assert sum(map(len, dataset.qrels.values())) == num_grades


def test_a_first_judgement_whose_grade_is_written_as_a_float_is_not_taken_for_column_names(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("1\ta\t1.0\n1\tb\t2.\n2\tb\t0\n1\ta\t1\n")
    assert read_beir(folder).qrels == {"1": {"a": 1, "b": 2}, "2": {"b": 0}}
    assert all(type(grade) is int for grade in read_beir(folder).qrels["1"].values())


@pytest.mark.parametrize(
    ("grade", "message"),
    [
        ("0.5", r"a grade must be a whole number. Received: 0.5"),
        ("nan", r"a grade must be a whole number. Received: nan"),
        ("inf", r"a grade must be a whole number. Received: inf"),
        (str(2**40), r"a grade must be a whole number from 0 to 1,000,000. Received: 1099511627776"),
        ("9" * 5000, r"a grade must be a whole number. Received: inf"),
        ("1000001", r"a grade must be a whole number from 0 to 1,000,000"),
        (
            "-1",
            r"a grade must be a whole number from 0 to 1,000,000. Received: -1.* Give documents",
        ),
    ],
    ids=lambda value: None,
)
@pytest.mark.parametrize("line", [1, 2])
def test_grades_that_trec_eval_cannot_take_are_refused_by_file_and_line(
    folder: Path, grade: str, message: str, line: int
) -> None:
    (folder / "qrels" / "test.tsv").write_text("1\tb\t1000000\n" * (line - 1) + f"1\ta\t{grade}\n")
    with pytest.raises(InputError, match=rf"test\.tsv:{line}: {message}"):
        read_beir(folder)


@pytest.mark.parametrize("line", ["1\t\t1", "\ta\t1", "1\ta\t1_0", "1\ta\t1\t1", "1 0 a 1"])
def test_lines_that_are_no_judgement_are_refused(folder: Path, line: str) -> None:
    (folder / "qrels" / "test.tsv").write_text(f"1\ta\t1\n{line}\n")
    with pytest.raises(InputError, match=r"test\.tsv:2: expected a query id, a document id and a whole number"):
        read_beir(folder)


@pytest.mark.parametrize("text", ['""', "null", '" \\n"'])
def test_one_empty_document_does_not_keep_a_set_from_being_evaluated(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (folder / "corpus.jsonl").write_text(f'{{"_id": "a", "text": "x"}}\n{{"_id": "b", "title": "", "text": {text}}}\n')
    (folder / "qrels" / "test.tsv").write_text("1\ta\t1\n1\tb\t1\n")
    dataset = read_beir(folder)
    assert [document.id for document in dataset.documents()] == ["a"]
    assert dataset.qrels == {"1": {"a": 1, "b": 1}}  # so that recall has two to find
    assert "Skipped 1 document with neither title nor text" in caplog.text
    assert "corpus.jsonl:2" in caplog.text
    assert "1 of 2 judged documents are not in the corpus (b, …)" in caplog.text


def test_ids_of_dicts_that_are_whole_numbers_become_text() -> None:
    dataset = to_dataset(queries={1: "one"}, qrels={np.int64(1): {7: 1.0, "b": np.int8(0)}})  # type: ignore[dict-item]
    assert dataset.queries == {"1": "one"}
    assert dataset.qrels == {"1": {"7": 1, "b": 0}}
    assert [type(grade) for grade in dataset.qrels["1"].values()] == [int, int]


def test_ids_of_queries_that_are_whole_numbers_become_text_and_others_are_refused(folder: Path) -> None:
    (folder / "queries.jsonl").write_text('{"_id": 1, "text": "one"}\n{"id": "2", "text": "two"}\n')
    assert read_beir(folder).queries == {"1": "one"}
    assert read_beir(folder, split="dev").queries == {"2": "two"}
    (folder / "queries.jsonl").write_text('{"_id": 1.5, "text": "one"}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl:1: a query's `id` must be a string. Received: id=1.5"):
        read_beir(folder)


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        (["x"], {"1": {"a": 1}}, r"`queries` must be a dict by id. Received: \['x'\] of type list"),
        ({"1": "x"}, {"1": ["a"]}, r"`qrels\['1'\]` must be a dict by id. Received: \['a'\] of type list"),
        ({"1": "x"}, ["1"], r"`qrels` must be a dict by id"),
        ({"1": "x", 1: "y"}, {"1": {"a": 1}}, r"`queries` must have each id once, and no empty id. Received: 1"),
        ({"1": "x", None: "y"}, {"1": {"a": 1}}, r"`queries` must have each id once.* Received: None"),
        ({"1": "x"}, {"1": {"a": -1}}, r"qrels\['1'\]\['a'\]: a grade must be a whole number from 0 to 1,000,000"),
        ({"1": "x"}, {"1": {"a": float("nan")}}, r"a grade must be a whole number. Received: nan"),
        ({"1": "x"}, {"1": {"a": "1"}}, r"a grade must be a whole number. Received: '1' of type str"),
        ({"1": "\ud83d"}, {"1": {"a": 1}}, r"queries\['1'\]: a query must be valid Unicode"),
        ({"1": "x"}, {("1",): {"a": 1}}, r"`qrels`: a key's `id` must be a string. Received: id=\('1',\)"),
    ],
    ids=lambda value: None,
)
def test_dicts_of_another_shape_are_refused(queries: Any, qrels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_dataset(queries=queries, qrels=qrels)
