"""Tests of what a request for deletion finds."""

import pytest

from tfchain.core.types import Document
from tfchain.data.forgetting.target import Target

LETTER = "Dear Ms Winter, your appointment is on Monday at nine."  # 54 characters


@pytest.fixture
def target() -> Target:
    return Target(frozenset({"7", "notes/anna.md"})).with_documents([Document("7", "I like tea.", "Anna")])


@pytest.mark.parametrize(
    "record",
    [
        {"id": "7", "text": "anything"},
        {"_id": 7, "text": "a number is its decimal text"},
        {"id": "7#2", "text": "a passage"},
        {"id": "x", "metadata": {"document": "notes/anna.md"}},
        {"query": "what does Anna like", "hits": [{"id": "1"}, {"id": "7"}]},
        {"query": "what does Anna like", "positive": "Anna I like tea."},
        {"query": "what does Anna like", "negatives": ["no", " I like tea. "]},
    ],
)
def test_what_comes_from_the_document_is_found(target: Target, record: dict):
    assert target.matches(record)


@pytest.mark.parametrize(
    "record",
    [
        {"id": "77", "text": "another document"},
        {"id": "8", "text": "7"},
        {"id": "8", "year": 7},
        {"id": "8", "text": "They say: I like tea. So do we."},  # too short a text to be sure
        {"id": "7-1", "text": "no passage"},
    ],
)
def test_what_does_not_come_from_it_is_kept(target: Target, record: dict):
    assert not target.matches(record)


def test_a_long_text_is_found_inside_another():
    target = Target(frozenset({"3"}), frozenset({LETTER}))
    assert target.matches({"text": f"Letter:\n{LETTER}\nEnd"})
    assert not target.matches({"text": LETTER[:40]})


def test_lists_in_a_report_lose_what_matches(target: Target):
    report = {"steps": [{"dropped": {"short": 2}, "examples": [{"id": "7"}, {"id": "9"}, {"record": {"id": "7#0"}}]}]}
    assert target.prune(report["steps"][0]) == ({"dropped": {"short": 2}, "examples": [{"id": "9"}]}, 2)
