"""Tests of keeping the offsets of pages right."""

from collections import Counter
from dataclasses import dataclass

import pytest

from tfchain.core.types import Document
from tfchain.data.steps.pages import change_document_text, page_starts_of
from tfchain.data.steps.step import TextStep

TEXT = "First page.\nSecond.\nThird page."


@dataclass(frozen=True)
class Without(TextStep):
    name = "without"
    word: str = " page"

    def change(self, text: str, found: Counter[str]) -> str:
        return text.replace(self.word, "")


def paged(text: str = TEXT, starts=(0, 12, 20)) -> Document:
    return Document("a", text, "A page", {"page_starts": list(starts), "pages": 3})


def test_page_starts_follow_the_text():
    (changed,) = Without()([paged()])
    assert changed == Document("a", "First.\nSecond.\nThird.", "A", {"page_starts": [0, 7, 15], "pages": 3})
    again = change_document_text(paged(), lambda text: text.replace(" page", ""))
    assert (again.text, again.metadata) == (changed.text, changed.metadata)


def test_a_page_may_become_empty():
    (changed,) = Without("Second.\n")([paged()])
    assert changed.metadata["page_starts"] == [0, 12, 12]


def test_a_text_that_stays_stays_the_same_object():
    document = paged()
    assert change_document_text(document, str) is document
    assert next(Without("xyz")([document])) is document


def test_an_empty_text_has_its_pages_at_its_start():
    document = Document("a", "x\nx", "title", {"page_starts": [0, 2]})
    assert next(Without("x")([document])) == Document("a", "", "title", {"page_starts": [0, 0]})


@pytest.mark.parametrize("starts", [None, [], "0", [0, 99], [5, 2], ["0"], [-1, 3]])
def test_what_is_not_offsets_is_left_alone(starts):
    document = Document("a", TEXT, "", {"page_starts": starts})
    assert page_starts_of(document) == []
    assert next(Without()([document])).metadata["page_starts"] == starts
