"""Questions of every kind of source, and where their answers are."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.question_answering.alignment import find_misaligned, find_span, report_misaligned
from tfchain.tasks.question_answering.questions import Question, read_questions

CONTEXT = "The cat sleeps on the sofa."
WANTED = Question("Where?", CONTEXT, ("on the sofa", "sofa"), (15, 22), "q1")
IMPOSSIBLE = Question("Who runs?", CONTEXT, (), (), "q2")
ROW = {"id": "q1", "question": "Where?", "context": CONTEXT}
ANSWERS = {"text": ["on the sofa", "sofa"], "answer_start": [15, 22]}


class FakeDataset:
    """What is used of a `datasets.Dataset`."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns, self.column_names = columns, list(columns)

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        yield self.columns


class FakeDatasetDict(dict[str, FakeDataset]):
    @property
    def column_names(self) -> dict[str, list[str]]:
        return {name: split.column_names for name, split in self.items()}


def test_squad_like_files_are_read_with_questions_that_have_no_answer(tmp_path: Path) -> None:
    pairs = [{"text": text, "answer_start": start} for text, start in zip(*ANSWERS.values(), strict=True)]
    qas = [
        {"id": "q1", "question": "Where?", "answers": pairs, "is_impossible": False},
        {"id": "q2", "question": "Who runs?", "answers": [], "plausible_answers": pairs, "is_impossible": True},
    ]
    content = {"version": "v2.0", "data": [{"title": "Cat", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with gzip.open(tmp_path / "b.json.gz", "wt", encoding="utf-8") as file:
        json.dump(content, file)
    for name in ("a.json", "b.json.gz"):
        assert read_questions(tmp_path / name) == [WANTED, IMPOSSIBLE]


def test_rows_are_read_from_lists_lines_and_datasets(tmp_path: Path) -> None:
    rows = [{**ROW, "answers": ANSWERS}, {"id": "q2", "question": "Who runs?", "context": CONTEXT, "answers": None}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    empty = {"text": [], "answer_start": []}
    table = pa.Table.from_pylist([rows[0], {**rows[1], "answers": empty}])
    pq.write_table(table, tmp_path / "rows.parquet")
    dataset = FakeDataset(table.to_pydict())
    sources = (rows, iter(rows), dataset, FakeDatasetDict(train=dataset), tmp_path / "rows.jsonl")
    for source in (*sources, tmp_path / "rows.parquet", [WANTED, IMPOSSIBLE]):
        assert read_questions(source) == [WANTED, IMPOSSIBLE]


@pytest.mark.parametrize(
    ("row", "answers", "starts"),
    [
        (("Where?", CONTEXT, "sofa"), ("sofa",), (None,)),
        (("Where?", CONTEXT, "sofa", 22), ("sofa",), (22,)),
        (("Where?", CONTEXT, ""), (), ()),
        ({**ROW, "answer": "sofa"}, ("sofa",), (None,)),
        ({**ROW, "answers": ["sofa", "on the sofa"]}, ("sofa", "on the sofa"), (None, None)),
        ({**ROW, "answers": {"text": "sofa", "answer_start": 22}}, ("sofa",), (22,)),
        ({**ROW, "answers": {"text": "sofa", "answer_start": np.int64(22)}}, ("sofa",), (22,)),
        ({**ROW, "answers": {"text": None, "answer_start": None}}, (), ()),
        ({**ROW, "answers": [""]}, (), ()),
        ({**ROW, "answers": {"text": ["", "sofa"], "answer_start": [0, 22]}}, ("sofa",), (22,)),
        (Question("Where?", CONTEXT, ("sofa", "cat")), ("sofa", "cat"), (None, None)),
        ({**ROW, "answers": ANSWERS, "is_impossible": True}, (), ()),
    ],
)
def test_answers_are_given_in_several_forms(row: Any, answers: tuple[str, ...], starts: tuple[int, ...]) -> None:
    (found,) = read_questions([row])
    assert (found.answers, found.starts) == (answers, starts)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "at least one question"),
        (3, "`dataset` must be a SQuAD-like .json file"),
        (["where"], r"dataset\[0\]: expected a SQuAD-like"),
        ([{"question": "q", "context": "c"}], r"dataset\[0\]: expected `answers`"),
        ([("q", " ", "a")], r"dataset\[0\]: `context` must be a text that is not empty"),
        ([{**ROW, "answers": {"text": ["a"], "answer_start": []}}], "a start for each text"),
        ([{**ROW, "answers": [{"text": "a", "answer_start": "0"}]}], "a whole number of characters before it"),
        ([{**ROW, "answers": 7}], "`answers` must be texts with their starts"),
        ([{**ROW, "answers": {"text": 5}}], "an answer must be a text"),
    ],
)
def test_bad_rows_are_refused_with_their_place(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_questions(source)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="`dataset` must be a SQuAD-like"):
        read_questions(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        read_questions(tmp_path / "missing.jsonl")


def test_an_answer_counts_where_the_data_says_and_is_looked_for_where_it_says_nothing() -> None:
    assert find_span(WANTED) == (15, 26)
    assert find_span(Question("q", CONTEXT, ("sofa", "cat"), (21, 4))) == (4, 7)  # the first that is right
    assert find_span(Question("q", CONTEXT, ("the",), (None,))) == (18, 21)
    assert find_span(Question("q", CONTEXT, ("the",))) == (18, 21)  # none of the starts is said
    assert find_span(IMPOSSIBLE) is None
    with pytest.raises(InputError, match="`starts` must have a place for each answer"):
        Question("q", CONTEXT, ("sofa", "cat"), (22,))


def test_misaligned_answers_are_found_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    wrong = Question("q", CONTEXT, ("sofa",), (21,), "q3")
    nowhere = Question("q", CONTEXT, ("bed",), (None,), "q4")
    found = find_misaligned([WANTED, IMPOSSIBLE, wrong, nowhere])
    assert [(one.id, one.start, one.found, one.elsewhere) for one in found] == [
        ("q3", 21, " sof", 22),
        ("q4", None, "", None),
    ]
    report_misaligned(found, 4)
    assert "2 of 4 questions are left out of the training" in caplog.text
    assert "q3: 'sofa' at 21, where the context has ' sof'" in caplog.text


def test_the_misaligned_answers_of_cmrc(shared_data: Path) -> None:
    questions = read_questions(shared_data / "cmrc2018" / "train.json.gz")
    assert (len(questions), len(find_misaligned(questions))) == (10142, 21)
