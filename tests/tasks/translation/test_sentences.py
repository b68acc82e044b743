"""Texts are cut into sentences and put together again, white space included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfchain.tasks.translation.sentences import split_text


def count_words(texts):
    return [len(text.split()) for text in texts]


def count_characters(texts):
    return [len(text) for text in texts]


def test_white_space_stays_where_it_was() -> None:
    text = "  Hello, Dr. Who.  How are you?\n\n\t你好。再见！\n"
    split = split_text(text, limit=20, count_tokens=count_words)
    assert split.sentences == ["Hello, Dr. Who.", "How are you?", "你好。", "再见！"]
    assert split.gaps == ["  ", "  ", "\n\n\t", "", "\n"]
    assert split.join([" A.", "B? ", "C.", "D!"]) == "  A.  B?\n\n\tC.D!\n"


def test_a_sentence_that_is_too_long_is_cut_after_a_mark_else_between_words() -> None:
    split = split_text("one two three, four five six seven eight.", limit=4, count_tokens=count_words)
    assert split.sentences == ["one two three,", "four five six seven", "eight."]
    split = split_text("abcdefghij", limit=4, count_tokens=count_characters)
    assert "".join(split.sentences) == "abcdefghij"
    assert max(map(len, split.sentences)) <= 4


def test_what_is_kept_is_not_cut() -> None:
    text = "He left. Yahoo! Inc. is one two. It is."
    split = split_text(text, limit=20, count_tokens=count_words, kept=[(9, 20)])
    assert split.sentences == ["He left.", "Yahoo! Inc. is one two.", "It is."]
    assert split.join(split.sentences) == text
    text = "one two three four five"  # that would be cut after four words
    split = split_text(text, limit=4, count_tokens=count_words, kept=[(8, len(text))])
    assert split.sentences == ["one two", "three four five"]
    split = split_text(text, limit=2, count_tokens=count_words, kept=[(0, len(text))])  # longer than the limit
    assert split.sentences == ["one two", "three four", "five"]


@pytest.mark.parametrize("text", ["", " \n", "a"])
def test_texts_without_sentences_are_their_white_space(text: str) -> None:
    split = split_text(text, limit=4, count_tokens=count_words)
    assert split.join(split.sentences) == text
    assert len(split.gaps) == len(split.sentences) + 1


@given(st.text(alphabet="ab. ,\n\t。！é́👩‍", max_size=60), st.integers(1, 6))
def test_a_text_is_its_parts_put_together(text: str, limit: int) -> None:
    split = split_text(text, limit=limit, count_tokens=count_words)
    assert split.join(split.sentences) == text
