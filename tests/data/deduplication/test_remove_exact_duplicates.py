"""Tests of removing exact duplicates."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.deduplication.remove_exact_duplicates import RemoveExactDuplicates
from tfchain.data.steps.run import StepsRun

TEXTS = ["How do I top up?", "how do  I top up? ", "How do I top up", "你好", "你好", "ＡＢＣ", "abc"]


def kept_texts(step, texts):
    return [record["text"] for record in step([{"text": text} for text in texts])]


def test_what_must_be_equal_is_chosen():
    assert kept_texts(RemoveExactDuplicates("characters"), TEXTS) == [*TEXTS[:4], *TEXTS[5:]]
    assert kept_texts(RemoveExactDuplicates(), TEXTS) == [TEXTS[0], TEXTS[2], "你好", "ＡＢＣ"]
    assert kept_texts(RemoveExactDuplicates("words"), TEXTS) == [TEXTS[0], "你好", "ＡＢＣ"]


def test_texts_of_marks_alone_are_not_all_equal():
    assert kept_texts(RemoveExactDuplicates("words"), ["!!!", "???", "!!!"]) == ["!!!", "???"]


def test_contradictions_stay_and_columns_choose():
    rows = [
        {"query": "a", "positive": "b", "label": 0},
        {"query": "a", "positive": "b", "label": 1},
        {"query": "b", "positive": "a", "label": 0},
        {"query": "a", "positive": "b", "label": 0, "url": "x"},
        {"url": "x"},
        {"url": "x"},
    ]
    assert list(RemoveExactDuplicates()(rows)) == [*rows[:3], *rows[4:]]
    assert list(RemoveExactDuplicates(columns=("query",))(rows)) == [rows[0], rows[2], *rows[4:]]


def test_titles_of_documents_count():
    documents = [Document("1", "b", "a"), Document("2", "b"), Document("3", "B", "A")]
    assert [document.id for document in RemoveExactDuplicates()(documents)] == ["1", "2"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_and_a_saved_state_change_nothing(size, tmp_path):
    texts = [{"text": str(number * number % 37)} for number in range(200)]
    expected = list({record["text"]: record for record in texts}.values())
    run, kept = StepsRun([RemoveExactDuplicates()]), []
    for start in range(0, 200, size):
        kept += run.process(texts[start : start + size])
        folder = tmp_path / str(start)
        folder.mkdir()
        run.save_states(folder)
        run.load_states(folder)
    assert kept == expected
    assert run.logs[0].dropped == {"exact duplicate": 200 - len(expected)}


def test_the_log_names_the_first():
    entries = []
    run = StepsRun([RemoveExactDuplicates()], write=entries.append)
    for text in ("a", "b", "c", "B"):
        run.process([{"id": text, "text": text}])
    assert [(entry["id"], entry["detail"]) for entry in entries] == [
        ("B", "repeats record number 2 of those that came here")
    ]


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`compare` must be one of: characters, folded, words. Received: compare='"):
        RemoveExactDuplicates("all")
