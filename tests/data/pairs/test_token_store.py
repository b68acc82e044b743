"""Texts are tokenized once and padded as a loop over tokens would pad them."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.pairs import token_store
from tfchain.data.pairs.token_store import TokenStore


class Letters:
    """A tokenizer of letters: 1, the letters' numbers, 2. Keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> list[list[int]]:
        self.calls.append(texts)
        return [[1, *(ord(letter) for letter in text), 2] for text in texts]


def test_each_distinct_text_is_tokenized_once() -> None:
    letters = Letters()
    done: list[int] = []
    store = TokenStore.build([["a", "bc", "a"], ["bc", "d", "d"]], letters, progress=done.append)
    assert letters.calls == [["a", "bc"], ["d"]]
    assert store.rows.tolist() == [[0, 1], [1, 2], [0, 2]]
    assert store.token_ids.tolist() == [1, 97, 2, 1, 98, 99, 2, 1, 100, 2]
    assert store.offsets.tolist() == [0, 3, 7, 10]
    assert (store.token_ids.dtype, store.offsets.dtype, store.rows.dtype) == (np.int32, np.int64, np.int64)
    assert len(store) == 3
    assert sum(done) == 6


def test_a_text_under_two_prompts_is_two_texts() -> None:
    letters = Letters()
    store = TokenStore.build([["a", "b"], ["a", "a"]], letters, prompts=("q:", ""))
    assert letters.calls == [["q:a", "q:b"], ["a"]]
    assert store.rows.tolist() == [[0, 2], [1, 2]]


def test_tokenizing_goes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "BLOCK_TEXTS", 2)
    letters = Letters()
    store = TokenStore.build([["a", "b", "a", "c", "d"]], letters)
    assert letters.calls == [["a", "b"], ["c"], ["d"]]
    assert store.rows[:, 0].tolist() == [0, 1, 0, 2, 3]


def test_batches_are_padded_to_the_longest_or_to_a_length() -> None:
    store = TokenStore.build([["a", "bcd", ""]], Letters())
    ids, mask = store.pad(np.array([2, 1, 2]), pad_id=9)
    assert ids.tolist() == [[1, 2, 9, 9, 9], [1, 98, 99, 100, 2], [1, 2, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int32
    ids, mask = store.pad(np.array([0]), pad_id=0, length=6)
    assert ids.tolist() == [[1, 97, 2, 0, 0, 0]]
    with pytest.raises(InputError, match="at least that of the longest text, 5 tokens. Received: length=4"):
        store.pad(np.array([0, 1]), pad_id=0, length=4)


def test_a_prompts_tokens_are_marked_for_pooling() -> None:
    store = TokenStore.build([["ab", ""]], Letters())
    _, mask = store.pad(np.array([0, 1]), pad_id=0, skipped=3)
    assert mask.tolist() == [[2, 2, 2, 1], [2, 2, 0, 0]]


def test_texts_are_taken_as_views_with_their_lengths() -> None:
    store = TokenStore.build([["a", "bc"]], Letters())
    first, second = store.take(np.array([1, 0]))
    assert (first.tolist(), second.tolist()) == ([1, 98, 99, 2], [1, 97, 2])
    assert np.shares_memory(first, store.token_ids)
    assert store.lengths().tolist() == [3, 4]
    assert store.lengths(np.array([[1, 0], [0, 0]])).tolist() == [[4, 3], [3, 3]]


def test_columns_and_tokenizers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"columns of \[1, 2\] texts"):
        TokenStore.build([["a"], ["b", "c"]], Letters())
    with pytest.raises(InputError, match=r"columns of \[1, 1\] texts and 1 prompts"):
        TokenStore.build([["a"], ["b"]], Letters(), prompts=["q:"])
    with pytest.raises(InputError, match="a list for each text. Received: 1 of 2"):
        TokenStore.build([["a", "b"]], lambda texts: [[1]])
