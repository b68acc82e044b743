"""Synonyms by neighbours, and back-translation."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.augmentation.back_translation import TranslateBack
from tfchain.data.augmentation.synonyms import ReplaceSynonyms, find_synonyms, frequent_words, is_same_word
from tfchain.data.lexical.terms import count_words

DIRECTIONS = {"big": 0.0, "large": 0.2, "larger": 0.21, "huge": 0.5, "small": 3.0}


def encode(words: Sequence[str]) -> np.ndarray:
    return np.array([[np.cos(DIRECTIONS[word]), np.sin(DIRECTIONS[word])] for word in words])


def test_neighbours_are_near_and_other_words() -> None:
    found = find_synonyms([*DIRECTIONS, "The"], encode, top_k=2, least=0.95)
    # cos(0.2) = 0.98, cos(0.3) = 0.955, cos(0.5) = 0.88: `huge` is too far from `big`, `larger` is `large` again.
    assert found == {
        "big": ("large", "larger"),
        "large": ("big", "huge"),
        "larger": ("big", "huge"),
        "huge": ("larger", "large"),
    }
    assert find_synonyms(list(DIRECTIONS), encode, top_k=2, least=0.95, block=2) == found
    assert find_synonyms([], encode) == {}


def test_spellings_of_a_word_are_the_same_word() -> None:
    assert is_same_word("cell", "cells")
    assert is_same_word("cell", "cell")
    assert not is_same_word("cell", "cellular")
    assert not is_same_word("cat", "bat")


def test_words_are_replaced_with_their_marks_and_capitals() -> None:
    step = ReplaceSynonyms(rate=1.0, synonyms={"big": ("large",)})
    assert step.disturb('A "Big" dog, BIG; big.', Random(0)) == 'A "Large" dog, LARGE; large.'
    (changed,) = step([{"id": "1", "query": "big", "label": "big"}])
    assert changed == {"id": "1", "query": "large", "label": "big"}
    with pytest.raises(InputError, match="replace_synonyms needs a table. Received: none"):
        list(ReplaceSynonyms(rate=1.0)([Document("a", "big")]))


def test_frequent_words_are_letters_without_stop_words() -> None:
    statistics = count_words(["the cat 12 b53", "the cat dog", "the dog cat"])
    assert frequent_words(statistics) == ["cat", "dog"]
    assert frequent_words(statistics, 1) == ["cat"]


def test_a_copy_is_translated_there_and_back_in_one_call() -> None:
    calls: list[list[str]] = []

    def there(texts: Sequence[str]) -> list[str]:
        calls.append(list(texts))
        return [text[::-1] for text in texts]

    def back(texts: Sequence[str]) -> list[str]:
        return [text[::-1].replace("big", "large") for text in texts]

    rows = [{"id": "1", "query": "a big cat", "positive": "big"}, {"id": "2", "query": "a dog", "positive": "big"}]
    made = list(TranslateBack(("query",), there=there, back=back)(rows))
    assert made == [rows[0], {"id": "1~translate_back", "query": "a large cat", "positive": "big"}, rows[1]]
    assert calls == [["a big cat", "a dog"]]
    assert list(TranslateBack(("query",), copies=0, there=there, back=back)(rows)) == [
        {"id": "1", "query": "a large cat", "positive": "big"},
        rows[1],
    ]


def test_errors_of_translators() -> None:
    row = {"id": "1", "query": "a"}
    with pytest.raises(InputError, match="translate_back needs a translator. Received: none"):
        list(TranslateBack()([row]))
    with pytest.raises(InputError, match="`there` must return a text for each text. Received: 0 for 1"):
        list(TranslateBack(there=lambda texts: [])([row]))
    with pytest.raises(InputError, match="`copies` must be 0 or 1: a translator answers alike. Received: copies=2"):
        TranslateBack(copies=2)
