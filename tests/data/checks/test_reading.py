"""Tests of what the checks read: rows of every kind, SQuAD-like JSON, BEIR folders, and what others refuse."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.checks.answers import check_answers, read_answers
from tfchain.data.checks.material import CheckedSet, Material
from tfchain.data.checks.reading import MaterialReader, rows_of
from tfchain.data.documents.beir import to_dataset


def read(train: object, split: str = "train") -> tuple[CheckedSet, Material]:
    material = Material()
    MaterialReader(material).read_set("train", train, split=split)
    return material.sets["train"], material


def texts(checked: CheckedSet, role: str, material: Material) -> list[tuple[str, str]]:
    found = checked.texts[role]
    return [(id, material.text(number)) for id, number in zip(found.ids, found.numbers, strict=True)]


ROWS = [{"query": "q1", "positive": "p1", "negative": "n1"}, {"query": "q2", "positive": "p1", "negative": "n2"}]


def write_jsonl(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def write_csv(folder: Path) -> Path:
    path = folder / "rows.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


def write_parquet(folder: Path) -> Path:
    path = folder / "rows.parquet"
    pd.DataFrame(ROWS).to_parquet(path)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: ROWS,
        lambda folder: [tuple(row.values()) for row in ROWS],
        lambda folder: iter(ROWS),
        lambda folder: pd.DataFrame(ROWS),
        lambda folder: pyarrow.Table.from_pylist(ROWS),
        lambda folder: {"train": ROWS},
        write_jsonl,
        write_csv,
        write_parquet,
        lambda folder: [write_jsonl(folder)],
    ],
)
def test_the_same_rows_from_every_source(make, tmp_path: Path) -> None:
    checked, material = read(make(tmp_path))

    assert [text for _, text in texts(checked, "queries", material)] == ["q1", "q2"]
    assert [text for _, text in texts(checked, "documents", material)] == ["p1", "n1", "n2"]  # p1 once
    assert [(judgment.relevant, judgment.mined) for judgment in checked.judgments] == [(True, False), (False, True)] * 2
    assert checked.num_rows == 2


def test_a_row_is_named_by_its_id_or_its_place(tmp_path: Path) -> None:
    checked, material = read(write_csv(tmp_path))
    assert texts(checked, "queries", material)[1][0] == "rows.csv:3"

    checked, material = read([{"id": 7, "query": "q", "positive": "p"}, {"query": "r", "positive": "p"}])
    assert [id for id, _ in texts(checked, "queries", material)] == ["7", "train[1]"]


def test_labelled_texts_documents_and_texts_alone_are_texts() -> None:
    checked, material = read(
        [
            {"text": "a", "label": "x"},
            {"text": "b", "labels": ["z", "y"]},
            {"text": "", "label": None},
            {"title": "t", "text": "c"},
            Document("d", "text", "title"),
            "e",
        ]
    )

    assert [text for _, text in texts(checked, "texts", material)] == ["a", "b", "", "t c", "title text", "e"]
    assert checked.labels == ["x", "y, z", None, None, None, None]


def test_whole_labels_of_pairs_are_judgments_and_scores_are_not() -> None:
    judged, _ = read([{"query": "q", "text": "a", "label": 1}, {"query": "q", "text": "b", "label": "0"}])
    scored, _ = read(
        [{"sentence1": "q", "sentence2": "a", "score": 0.7}, {"sentence1": "q", "sentence2": "b", "score": 1}]
    )
    classes, material = read([{"sentence1": "q", "sentence2": "a", "label": "entailment"}])

    assert [judgment.relevant for judgment in judged.judgments] == [True, False]
    assert scored.judgments == []
    assert texts(classes, "texts", material) == [("train[0]", "q\na")]
    assert classes.labels == ["entailment"]


SQUAD = {
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {"context": "It was Ada.", "qas": [
                    {"id": "1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 7}]},
                    {"id": "2", "question": "", "answers": [{"text": "Ada", "answer_start": 6}, {"text": "Bob"}]},
                ]}
            ],
        }
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", ["squad.json", "squad.json.gz"])
def test_squad_is_read_with_its_answers_and_empty_questions(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = json.dumps(SQUAD).encode()
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)

    checked, material = read(path)

    assert texts(checked, "queries", material) == [("1", "Who?"), ("2", "")]
    assert texts(checked, "documents", material) == [(f"{name}: data[0].paragraphs[0] T", "It was Ada.")]
    assert checked.num_answers == 3
    assert [(fault.id, fault.answer, fault.missing) for fault in checked.answers] == [
        ("2", "Ada", False),
        ("2", "Bob", True),
    ]


def test_squad_as_the_hub_has_it_and_as_plain_columns() -> None:
    hub = {"id": "1", "question": "Who?", "context": "It was Ada.", "answers": {"text": ["Ada"], "answer_start": [6]}}
    plain = {"id": "2", "question": "Who?", "context": "It was Ada.", "answer": "Bob"}

    checked, _ = read([hub, plain])

    assert [(fault.id, fault.start, fault.found, fault.missing) for fault in checked.answers] == [
        ("1", 6, " Ad", False),
        ("2", None, "", True),
    ]


def test_answers_of_every_form_are_read() -> None:
    assert list(read_answers(["a", {"text": "b", "answer_start": 3}, {"text": None}])) == [("a", None), ("b", 3)]
    assert list(read_answers({"text": ["a", "b"], "answer_start": [0]})) == [("a", 0), ("b", None)]
    assert list(read_answers("")) == list(read_answers(None)) == []
    assert check_answers("q", "?", "abc", [("", 0), ("bc", 1), ("c", -1)])[0].start == -1


def test_a_beir_folder_keeps_empty_queries_and_names_missing_documents(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "x"}\n{"_id": "d2", "text": ""}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": ""}\n{"_id": "q2", "text": "ask"}\n')
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td3\t1\nq2\td2\t0\n")

    checked, material = read(tmp_path)

    assert texts(checked, "queries", material) == [("q1", ""), ("q2", "ask")]
    assert texts(checked, "documents", material) == [("d1", "T x")]
    assert texts(material.sets["corpus"], "documents", material) == [("d1", "T x"), ("d2", "")]
    assert checked.missing == ["d3"]
    assert len(checked.judgments) == 2
    with pytest.raises(InputError, match=r"qrels/dev.tsv. Received: split='dev'; available: \['train'\]"):
        read(tmp_path, split="dev")


def test_a_dataset_in_memory_is_judged_against_the_corpus_that_was_given() -> None:
    material = Material()
    reader = MaterialReader(material)
    reader.read_corpus([{"id": "d1", "text": "one"}])
    reader.read_set("evaluation", to_dataset(queries={"q": "?"}, qrels={"q": {"d1": 1, "d2": 1}}), split="test")

    assert material.sets["evaluation"].missing == ["d2"]
    assert [judgment.document for judgment in material.sets["evaluation"].judgments] == [0]


def test_texts_are_the_same_without_case_and_white_space_at_the_ends_only() -> None:
    checked, material = read(["Straße", " STRASSE\n", "str asse", "Straße?"])

    assert checked.texts["texts"].numbers == [0, 0, 1, 2]
    assert material.text(0) == "Straße"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "`train` must have at least one row. Received: none."),
        (5, "`train` must be a file of rows, a BEIR folder"),
        ({"other": []}, "`train` must be a file of rows"),
        (Path("rows.xml"), "Received: rows.xml, which does not exist."),
        (Path("rows.json"), "No such file"),
    ],
)
def test_other_sources_are_refused(source: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(source)
    assert message in str(error.value)


@pytest.mark.parametrize("content", ["{", "[1]", '{"rows": []}', '{"data": [{"paragraphs": []}]}'])
def test_other_json_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)

    with pytest.raises(InputError, match="broken JSON|expected SQuAD-like JSON"):
        read(path)


def test_rows_for_a_schema_keep_their_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path)

    assert list(rows_of(path, "train", split="")) == ROWS
    assert list(rows_of([("a", "b"), "c"], "train", split="")) == [{"column_0": "a", "column_1": "b"}, {"text": "c"}]
    assert next(rows_of([Document("d", "x")], "train", split="")) == {
        "id": "d",
        "title": "",
        "text": "x",
        "metadata": {},
    }
