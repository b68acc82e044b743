"""The step that makes documents of passages."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.pages import find_page
from tfchain.data.documents.split_passages import SplitPassages
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.run import StepsRun


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_passages_are_documents_with_offsets_headings_and_page() -> None:
    text = "# Install\n\none two three four\n\n# Use\n\nfive six"
    document = Document("g", text, "Guide", {"year": 2, "page_starts": [0, 31]})
    run = StepsRun([SplitPassages(8, overlap_tokens=0, count_tokens=count_words)])
    made = run.process([document, Document("s", "short", metadata={"year": 1})])
    assert made == [
        Document(
            "g#0",
            "one two three four",
            "Guide > Install",
            {"year": 2, "document": "g", "start": 11, "end": 29, "headings": ["Install"], "page": 1},
        ),
        Document(
            "g#1",
            "five six",
            "Guide > Use",
            {"year": 2, "document": "g", "start": 38, "end": 46, "headings": ["Use"], "page": 2},
        ),
        Document("s#0", "short", metadata={"year": 1, "document": "s", "start": 0, "end": 5}),
    ]
    assert text[38:46] == "five six"
    assert run.logs[0].added == {"passage": 2}


def test_passages_fit_when_they_are_encoded_as_documents() -> None:
    text = "# A\n\n" + "word " * 50 + "\n\n## B\n\n" + "more words. " * 30
    made = list(SplitPassages(12, count_tokens=count_words)([Document("g", text, "The title")]))
    assert max(count_words([document.full_text for document in made])) <= 12


def test_a_title_alone_is_cut_into_titles() -> None:
    made = list(SplitPassages(2, overlap_tokens=0, count_tokens=count_words)([Document("g", "", "one two three")]))
    assert [(document.title, document.text) for document in made] == [("one two", ""), ("three", "")]


def test_it_is_made_of_a_file_of_settings_and_counts_with_a_tokenizer(minilm_path: Path) -> None:
    (step,) = make_steps([{"split_passages": {"max_tokens": 8, "method": "sentences", "tokenizer": str(minilm_path)}}])
    assert step.settings() == {
        "max_tokens": 8,
        "overlap_tokens": None,
        "method": "sentences",
        "tokenizer": str(minilm_path),
    }
    step = pickle.loads(pickle.dumps(step))
    made = list(step([Document("g", "It is unbelievable. We went to the park.")]))  # 4 and 6 words, one of 3 pieces
    assert [document.text for document in made] == ["It is unbelievable.", "We went to the park."]


def test_errors() -> None:
    with pytest.raises(InputError, match="The step split_passages needs `count_tokens`, which comes from a model"):
        list(SplitPassages()([Document("a", "b")]))
    with pytest.raises(InputError, match=r"`tokenizer` must be a tokenizer.json or a folder with one. Received: 'no'"):
        list(SplitPassages(tokenizer="no")([Document("a", "b")]))
    with pytest.raises(InputError, match="needs documents. Received: a row with the columns query, positive"):
        list(SplitPassages(count_tokens=count_words)([{"query": "a", "positive": "b"}]))
    with pytest.raises(InputError, match="`method` must be one of .* Received: method='words'"):
        SplitPassages(method="words")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`max_tokens` must be a whole number of at least 1"):
        SplitPassages(0)


def test_pages_are_found_by_offset() -> None:
    document = Document("a", "x" * 30, metadata={"page_starts": [0, 10, 10, 20]})
    assert [find_page(document, offset) for offset in (0, 9, 10, 19, 20, 29)] == [1, 1, 3, 3, 4, 4]
    assert find_page(Document("a", "x"), 0) is None
