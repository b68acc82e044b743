"""SQuAD-like JSON is read as documents and as pairs, with its answers as the file has them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.data.documents.reading import read_documents
from tfchain.data.documents.squad import read_squad_rows
from tfchain.data.files.data_file import memory_file, to_file
from tfchain.data.files.read_session import ReadSession
from tfchain.data.pairs.reading import read_pairs

DATA: dict[str, Any] = {
    "data": [
        {
            "title": "Oxygen",
            "paragraphs": [
                {
                    "context": "Oxygen is a gas.",
                    "qas": [
                        {"id": "a", "question": "What is it?", "answers": [{"text": "a gas", "answer_start": 10}]},
                        {"id": "b", "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                },
                {"context": "It has two isotopes.", "qas": []},
            ],
        },
        {"paragraphs": [{"id": "P7", "context": "氧是气体。", "qas": [{"id": 3, "question": "氧是什么？"}]}]},
    ]
}


def rows(content: Any, session: ReadSession | None = None) -> list[dict[str, Any]]:
    file = memory_file("a.json", json.dumps(content).encode())
    return [dict(row) for _, row in read_squad_rows(file, session or ReadSession())]


def test_paragraphs_are_documents(tmp_path: Path) -> None:
    (tmp_path / "dev.json.gz").write_bytes(gzip.compress(json.dumps(DATA).encode()))
    assert [(found.id, found.title, found.text) for found in read_documents(tmp_path / "dev.json.gz")] == [
        ("Oxygen/0", "Oxygen", "Oxygen is a gas."),
        ("Oxygen/1", "Oxygen", "It has two isotopes."),
        ("P7", "", "氧是气体。"),
    ]


def test_questions_are_rows_with_their_answers() -> None:
    assert rows(DATA) == [
        {
            "id": "a",
            "question": "What is it?",
            "context": "Oxygen is a gas.",
            "answers": ["a gas"],
            "answer_starts": [10],
            "title": "Oxygen",
            "document_id": "Oxygen/0",
        },
        {
            "id": "3",
            "question": "氧是什么？",
            "context": "氧是气体。",
            "answers": [],
            "answer_starts": [],
            "title": "",
            "document_id": "P7",
        },
    ]


def test_a_file_is_training_pairs(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(DATA))
    assert [list(column) for column in read_pairs(tmp_path / "train.json").columns] == [
        ["What is it?", "氧是什么？"],
        ["Oxygen is a gas.", "氧是气体。"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"^a\.json: broken JSON: .*Expected a SQuAD-like file"),
        ("[1]", r"^a\.json: expected a SQuAD-like file: .*Received: '\[1\]'….*one object per line, as \.jsonl"),
        ('{"data": [{}]}', "expected a SQuAD-like file"),
        ('{"data": [{"paragraphs": [{}]}]}', r"a\.json, data\[0\]\.paragraphs\[0\]: expected a paragraph with a `con"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_squad_rows(memory_file("a.json", text.encode()), ReadSession()))


def test_a_broken_question_is_one_broken_record() -> None:
    content = json.loads(json.dumps(DATA))
    content["data"][0]["paragraphs"][0]["qas"][0] = {"question": 5}
    content["data"][1]["paragraphs"][0]["qas"].append({"question": "q", "answers": ["text"]})
    session = ReadSession(2)
    assert [row["id"] for row in rows(content, session)] == ["3"]
    assert "data[0].paragraphs[0].qas[0]: expected a question" in str(session.first_error)


def test_the_shared_files_are_read_whole_with_their_misaligned_answers(shared_data: Path) -> None:
    def read(path: Path) -> tuple[int, int]:
        found = [row for _, row in read_squad_rows(to_file(path), ReadSession())]
        wrong = sum(
            any(
                row["context"][start : start + len(answer)] != answer
                for answer, start in zip(row["answers"], row["answer_starts"], strict=True)
            )
            for row in found
        )
        return len(found), wrong

    assert read(shared_data / "squad_dev" / "dev-v1.1.json.gz") == (10570, 0)
    assert read(shared_data / "cmrc2018" / "train.json.gz") == (10142, 21)
    documents = list(read_documents(shared_data / "squad_dev" / "dev-v1.1.json.gz"))
    assert len(documents) == 2067
