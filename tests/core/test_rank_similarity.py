import pytest

from tfchain.core.errors import InputError
from tfchain.core.rank_similarity import find_overlap, find_rank_biased_overlap


def test_the_overlap_is_the_share_of_the_first_places_names() -> None:
    assert find_overlap("abcd", "abef", top=4) == 0.5
    assert find_overlap("abcd", "bacd", top=2) == 1.0
    assert find_overlap([], []) == 1.0
    assert find_overlap("abc", []) == 0.0


def test_equal_rankings_have_a_rank_biased_overlap_of_one_and_disjoint_ones_of_zero() -> None:
    assert find_rank_biased_overlap("abcde", "abcde") == pytest.approx(1)
    assert find_rank_biased_overlap("abc", "xyz") == pytest.approx(0)
    assert find_rank_biased_overlap([], []) == 1.0
    assert find_rank_biased_overlap("a", []) == 0.0


def test_the_rank_biased_overlap_is_as_worked_out_by_hand() -> None:
    # agreements 0, 1 at depths 1, 2; p = 0.5: (1 - p) / p * (0 * p + 1 * p^2) + 1 * p^2 = 0.25 + 0.25
    assert find_rank_biased_overlap("ab", "ba", persistence=0.5) == pytest.approx(0.5)
    # S = a, L = ab: X = 1, 1; s = 1, l = 2; p = 0.5
    # sum: 1 * 0.5 + 1/2 * 0.25 = 0.625; the unseen part: 1 * (2 - 1) / (1 * 2) * 0.25 = 0.125; times 1: 0.75
    # end: ((1 - 1) / 2 + 1 / 1) * 0.25 = 0.25; together 1: what is seen agrees entirely
    assert find_rank_biased_overlap("a", "ab", persistence=0.5) == pytest.approx(1.0)


def test_a_change_at_the_top_counts_more_than_one_at_the_end() -> None:
    top, end = find_rank_biased_overlap("abcdef", "bacdef"), find_rank_biased_overlap("abcdef", "abcdfe")
    assert top < end < 1


def test_a_ranking_that_repeats_a_name_is_refused() -> None:
    with pytest.raises(InputError, match="must have each name once. Received: ."):
        find_rank_biased_overlap("aab", "abc")
    with pytest.raises(InputError, match="`persistence` must be above 0 and below 1. Received: persistence=1"):
        find_rank_biased_overlap("a", "b", persistence=1)
