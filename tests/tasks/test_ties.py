"""Ties: how near two scores must be for rounding to swap them."""

import numpy as np
import pytest

from tfchain.tasks.ties import find_ties


@pytest.mark.parametrize(("difference", "is_tie"), [(0.0, True), (1.9e-5, True), (2.2e-5, False), (1e-3, False)])
def test_two_scores_are_tied_if_each_may_be_off_by_the_tolerance(difference: float, is_tie: bool) -> None:
    assert find_ties(np.array([[0.5, 0.5 - difference]])).tolist() == [[is_tie, is_tie]]


def test_the_tolerance_is_relative_to_scores_above_one() -> None:
    assert find_ties(np.array([[100.0, 99.9981]])).tolist() == [[True, True]]
    assert find_ties(np.array([[100.0, 99.9978]])).tolist() == [[False, False]]
    assert find_ties(np.array([[0.01, 0.009981]])).tolist() == [[True, True]]  # but absolute below


def test_another_tolerance_may_be_given() -> None:
    assert find_ties(np.array([[0.5, 0.49]]), 0.01).tolist() == [[True, True]]
    assert find_ties(np.array([[0.5, 0.47]]), 0.01).tolist() == [[False, False]]


def test_one_score_or_none_has_no_neighbour() -> None:
    assert find_ties(np.array([[0.5], [0.5]])).tolist() == [[False], [False]]
    assert find_ties(np.zeros((0, 3))).shape == (0, 3)
