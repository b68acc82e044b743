"""Tests of what is compared of a record."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.deduplication.compared_text import check_columns, compared_label, compared_texts

ROW = {"query": "q", "positive": "p", "label": 3, "url": "u", "empty": None}


def test_all_texts_or_the_columns_asked_for():
    assert compared_texts(ROW) == {"query": "q", "positive": "p"}
    assert compared_texts(ROW, ("positive", "url", "empty", "missing")) == {"positive": "p", "url": "u"}
    document = Document("1", "body", "head")
    assert compared_texts(document) == {"title": "head", "text": "body"}
    assert compared_texts(document, ("text",)) == {"text": "body"}


def test_a_label_counts_unless_columns_are_given():
    assert compared_label(ROW) == "[3]"
    assert compared_label({"text": "a", "score": 0.5}) == "[0.5]"
    assert compared_label(ROW, ("query",)) == compared_label(Document("1", "body")) == ""


@pytest.mark.parametrize("columns", ["query", ("id",), (1,)])
def test_columns_must_be_names_of_texts(columns):
    with pytest.raises(InputError, match="`columns` must be a list of names of columns that hold texts. Received"):
        check_columns(columns)
