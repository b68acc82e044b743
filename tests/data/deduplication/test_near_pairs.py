"""Tests of finding near-duplicates, beside a comparison of every pair."""

import random
from itertools import combinations, pairwise

import pytest

from tfchain.core.errors import InputError
from tfchain.data.deduplication.near_pairs import find_near_duplicates

QUESTIONS = ["How do I top up my card?", "Hello.", "how do I top up my CARD", "How do I top up my new card?"]


def edited_texts() -> list[str]:
    """Sixty texts of 40 words, each followed by a copy with one to twenty of its words replaced."""
    generator = random.Random(3)
    texts = []
    for number in range(60):
        words = [f"w{generator.randrange(500)}" for _ in range(40)]
        edited = list(words)
        for place in generator.sample(range(40), 1 + number % 20):
            edited[place] = "new"
        texts += [" ".join(words), " ".join(edited)]
    return texts


def pairs_of_words(text: str) -> set[tuple[str, str]]:
    words = text.split()
    return set(pairwise(words))


def test_similarities_by_hand():
    # pairs of words: 6 of the first, 7 of the last, of which "my new" and "new card" are new and "my card" is missing
    assert find_near_duplicates(QUESTIONS) == [(0, 2, 1.0), (0, 3, 5 / 8)]


def test_every_pair_that_a_comparison_of_all_finds_is_found():
    texts = edited_texts()
    sets = [pairs_of_words(text) for text in texts]
    expected = {}
    for i, j in combinations(range(len(texts)), 2):
        similarity = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        if similarity >= 0.4:
            expected[i, j] = similarity
    assert len(expected) > 20
    assert {(i, j): similarity for i, j, similarity in find_near_duplicates(texts, threshold=0.4)} == expected


def test_two_lists_are_compared_with_each_other_alone():
    found = find_near_duplicates(
        ["你好，我是一个智能助手。", "Hello."], ["Hello!", "HELLO", "你好，我是一个智能的助手。"]
    )
    # 9 pairs of characters of the first, 10 of the other, 8 shared: 8 / 11
    assert found == [(0, 2, 8 / 11), (1, 0, 1.0), (1, 1, 1.0)]


def test_equal_texts_are_paired_with_their_first():
    assert find_near_duplicates(["same words here"] * 4) == [(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0)]


def test_the_threshold_is_included():
    assert find_near_duplicates(["a b c", "a b d"], threshold=1 / 3) == [(0, 1, 1 / 3)]
    assert find_near_duplicates(["a b c", "a b d"], threshold=0.34) == []


def test_nothing_is_found_in_nothing():
    assert find_near_duplicates([]) == []
    assert find_near_duplicates([], ["a"]) == []


def test_a_threshold_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"`threshold` must be in \(0, 1\]. Received: threshold=1.5"):
        find_near_duplicates(["a"], threshold=1.5)
