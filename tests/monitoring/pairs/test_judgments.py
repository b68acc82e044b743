"""What makes a document relevant, or not."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.pairs.impressions import Impression
from tfchain.monitoring.pairs.judgments import JudgmentOptions, is_for_evaluation, judge

ONES = np.array([1.0, 1.0])


def grades(impressions: list[Impression], options: JudgmentOptions | None = None) -> dict[str, int]:
    return {one.document_id: one.grade for one in judge(impressions, ONES, options)}


def test_clicks_make_relevant_and_looks_without_a_click_make_not_relevant() -> None:
    shown = [Impression("q", ("a", "b"), frozenset([0]))] * 9 + [Impression("q", ("a", "b"))]
    assert grades(shown) == {"a": 2, "b": 0}
    assert grades(shown[:9]) == {"a": 2, "b": -1}  # nine looks are too few
    assert grades(shown[:1]) == {"a": -1, "b": -1}
    assert grades(shown[:1], JudgmentOptions(min_clicks=1, min_relevance=0)) == {"a": 2, "b": -1}


def test_a_rare_click_is_not_certain_enough() -> None:
    shown = [Impression("q", ("a",), frozenset([0]))] * 2 + [Impression("q", ("a",))] * 18
    assert grades(shown) == {"a": -1}  # 0.1 ± 0.07
    assert grades(shown, JudgmentOptions(min_relevance=0.02)) == {"a": 1}


def test_thumbs_win_over_clicks() -> None:
    clicked = [Impression("q", ("a", "b"), frozenset([0, 1]))] * 5
    assert grades([*clicked, Impression("q", ("a", "b"), dislikes=frozenset(["a"]))]) == {"a": 0, "b": 2}
    assert grades([Impression("q", ("a",), likes=frozenset(["a"]))]) == {"a": 2}
    even = [Impression("q", ("a",), likes=frozenset("a")), Impression("q", ("a",), dislikes=frozenset("a"))]
    assert grades(even) == {"a": -1}


def test_a_click_weighs_no_more_than_the_largest_weight() -> None:
    (only,) = judge([Impression("q", ("a",), frozenset([0]))], np.array([0.01]), JudgmentOptions(largest_weight=4))
    assert only.relevance == 1.0
    many = [Impression("q", ("a",), frozenset([0]))] + [Impression("q", ("a",))] * 7
    (only,) = judge(many, np.array([0.01]), JudgmentOptions(largest_weight=4))
    assert only.relevance == 4 / 8


def test_a_query_stays_in_its_split() -> None:
    drawn = [is_for_evaluation(f"query {number}", 0.25) for number in range(4000)]
    assert drawn == [is_for_evaluation(f"query {number}", 0.25) for number in range(4000)]
    assert 0.22 < np.mean(drawn) < 0.28
    assert not is_for_evaluation("q", 0)
    assert is_for_evaluation("q", 1)


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(InputError, match="`min_relevance` from 0 to 1"):
        JudgmentOptions(min_relevance=1.5)
