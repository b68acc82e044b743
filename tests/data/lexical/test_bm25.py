"""Tests of BM25: terms, scores worked out by hand, ranks."""

import math

import numpy as np
import pytest

from tfchain.data.lexical.bm25 import Bm25
from tfchain.data.lexical.terms import find_terms


def test_terms_are_words_without_case_and_pairs_of_neighbouring_characters() -> None:
    assert find_terms("Visit 北京大学, 'Tōkyō' 2026!") == ["visit", "北京", "京大", "大学", "tōkyō", "2026"]
    assert find_terms("我 you 他们") == ["我", "you", "他们"]
    assert find_terms("ＡＢＣ") == ["abc"]
    assert find_terms("…?!") == []


def test_the_score_is_the_formula_worked_out_by_hand() -> None:
    bm25 = Bm25(["cat cat dog", "dog", "a bird sings here today"], k1=0.9, b=0.4)

    scores = bm25.score(["cat bird", "dog dog"]).toarray()

    mean = (3 + 1 + 5) / 3
    rare, frequent = math.log(1 + (3 - 1 + 0.5) / 1.5), math.log(1 + (3 - 2 + 0.5) / 2.5)
    norm = [0.9 * (1 - 0.4 + 0.4 * length / mean) for length in (3, 1, 5)]
    expected = [
        [rare * 2 / (2 + norm[0]), 0, rare / (1 + norm[2])],
        [2 * frequent / (1 + norm[0]), 2 * frequent / (1 + norm[1]), 0],
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_ranks_begin_at_one_and_equal_scores_share_the_best() -> None:
    bm25 = Bm25(["the cat", "the cat", "the dog and the cat and the bird", "nothing alike"])

    assert list(bm25.rank(["cat", "cat", "cat", "cat"], [0, 1, 2, 3])) == [1, 1, 3, 4]


@pytest.mark.parametrize("queries", [["xyz"], ["…"], ["x " * 100]])
def test_a_query_without_a_known_term_ranks_every_document_first(queries: list[str]) -> None:
    assert list(Bm25(["a cat", "a dog"]).rank(queries, [1])) == [1]


def test_many_queries_are_ranked_as_each_alone() -> None:
    documents = [f"word{number} word{number % 7} word{number % 11}" for number in range(50)]
    queries = [f"word{number % 7} word{number}" for number in range(150)]
    wanted = [number % 50 for number in range(150)]
    bm25 = Bm25(documents)

    alone = [next(bm25.rank([query], [document])) for query, document in zip(queries, wanted, strict=True)]

    assert list(bm25.rank(queries, wanted)) == alone
    dense = bm25.score(queries).toarray()
    assert alone[77] == 1 + int((dense[77] > dense[77, wanted[77]] * (1 + 1e-6)).sum())
