"""The values that pass between rooms."""

import copy
import pickle

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document, Hit, SearchResult


def test_what_is_encoded_is_title_space_text() -> None:
    assert Document("1", "body", title="Title").full_text == "Title body"


def test_without_a_title_the_text_is_encoded_as_it_is() -> None:
    assert Document("1", "  body\n").full_text == "  body\n"


def test_a_title_alone_is_encoded_without_a_space_behind() -> None:
    assert Document("1", "", title="Title").full_text == "Title"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": 7, "text": "body"}, r"`id` must be a string. Received: id=7 of type int\. Convert it"),
        ({"id": "7", "text": None}, r"`text` must be a string. Received: text=None of type NoneType \(document '7'\)"),
        ({"id": "7", "text": "body", "title": b"x"}, r"`title` must be a string. Received: title=b'x' of type bytes"),
        ({"id": "", "text": "body"}, r"`id` must not be empty"),
        ({"id": "7\ud83d", "text": "ab"}, r"valid Unicode. Received: a lone surrogate '\\ud83d' at character 1 of"),
        ({"id": "7", "text": "ab\ud83d"}, r"valid Unicode. Received: a lone surrogate '\\ud83d' at character 2 of"),
    ],
)
def test_a_document_that_is_not_text_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Document(**values)  # type: ignore[arg-type]


def test_documents_do_not_share_their_default_metadata() -> None:
    assert Document("1", "a").metadata is not Document("2", "b").metadata


def test_a_search_result_prints_as_a_dict_of_text_and_answer() -> None:
    result = SearchResult("question", "answer", [Hit("1", 0.5, "answer")])
    assert repr(result) == "{'text': 'question', 'answer': 'answer'}"
    assert result == {"text": "question", "answer": "answer"}
    assert result.hits == (Hit("1", 0.5, "answer"),)


def test_a_search_result_keeps_its_hits_when_copied_and_pickled() -> None:
    result = SearchResult("question", "answer", [Hit("1", 0.5, "answer")])
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other == result
        assert other.hits == result.hits


@pytest.mark.parametrize(
    ("text", "title", "is_empty"),
    [("", "", True), (" \n\u3000", "\t ", True), ("x", "", False), ("", "T", False), (" ", " T", False)],
)
def test_a_document_with_neither_text_nor_title_is_empty(text: str, title: str, is_empty: bool) -> None:
    assert Document("7", text, title).is_empty is is_empty
