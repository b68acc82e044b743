"""Tests of which texts of a record a filter judges."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.judged_texts import check_columns, judged_texts


def test_a_document_is_its_text_and_a_row_all_texts_or_some():
    assert judged_texts(Document("1", "body", "head")) == ["body"]
    assert judged_texts(Document("1", "", "head")) == ["head"]
    row = {"query": "q", "positive": "p", "label": "l", "score": 1}
    assert judged_texts(row) == ["q", "p"]
    assert judged_texts(row, ("positive", "score", "missing")) == ["p"]


def test_columns_must_be_names():
    with pytest.raises(InputError, match="`columns` must be a list of names. Received: columns='query'"):
        check_columns("query")
