"""Merging formulas: values by hand, and the same formulas written differently."""

import numpy as np
import pytest

from tfchain.optimization.merge_formulas import merge_linear, merge_slerp, merge_ties, trim

RANDOM = np.random.default_rng(4)


def test_linear_is_the_weighted_mean() -> None:
    first, second = np.array([[1.0, 2.0]], "float32"), np.array([[5.0, -2.0]], "float32")
    merged = merge_linear([first, second], [3.0, 1.0])
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged, [[2.0, 1.0]])  # (3 + 5) / 4, (6 - 2) / 4


def test_slerp_halfway_between_two_axes_is_the_diagonal() -> None:
    merged = merge_slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5)
    np.testing.assert_allclose(merged, [np.sqrt(0.5)] * 2, rtol=1e-6)
    third = merge_slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 1 / 3)
    np.testing.assert_allclose(third, [np.cos(np.pi / 6), np.sin(np.pi / 6)], rtol=1e-6)


def test_slerp_equals_a_rotation_in_the_plane_of_both() -> None:
    first, second = RANDOM.normal(size=(2, 4, 3))
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    across = second - (first * second).sum() * first
    across /= np.linalg.norm(across)
    angle = np.arccos((first * second).sum())
    expected = np.cos(0.3 * angle) * first + np.sin(0.3 * angle) * across
    np.testing.assert_allclose(merge_slerp(first, second, 0.3), expected, rtol=1e-5, atol=1e-7)
    for share, end in ((0.0, first), (1.0, second)):
        np.testing.assert_allclose(merge_slerp(first, second, share), end, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("second", [[2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
def test_slerp_is_the_straight_line_where_there_is_no_arc(second: list[float]) -> None:
    merged = merge_slerp(np.array([1.0, 2.0]), np.array(second), 0.25)
    np.testing.assert_allclose(merged, 0.75 * np.array([1.0, 2.0]) + 0.25 * np.array(second), atol=1e-7)


def test_trimming_keeps_the_largest_changes_whatever_their_sign() -> None:
    change = np.array([[0.1, -0.5], [0.3, 0.2]])
    np.testing.assert_array_equal(trim(change, 0.5), [[0, -0.5], [0.3, 0]])
    np.testing.assert_array_equal(trim(change, 0.01), [[0, -0.5], [0, 0]])  # at least one
    np.testing.assert_array_equal(trim(change, 1.0), change)
    np.testing.assert_array_equal(trim(np.array([0.2, -0.2, 0.1]), 0.3), [0.2, -0.2, 0])  # equal sizes
    assert trim(np.zeros(0), 0.5).shape == (0,)


def test_ties_by_hand() -> None:
    base = np.array([1.0, 1.0, 1.0, 1.0])
    changes = [[4.0, 3.0, 1.0, 0.5], [2.0, -5.0, -1.0, 0.1], [0.1, -2.0, 3.0, 0.2]]
    # Of each, the two largest are kept: [4, 3, 0, 0], [2, -5, 0, 0] and [0, -2, 3, 0]. Elected: +, -, +, none.
    expected = [1 + 2 * (4 + 2) / 2, 1 + 2 * (-5 - 2) / 2, 1 + 2 * 3, 1]
    merged = merge_ties(base, [base + change for change in changes], [1.0, 1.0, 1.0], density=0.5, scale=2.0)
    np.testing.assert_allclose(merged, expected, rtol=1e-6)


def test_ties_counts_a_model_by_its_weight_in_the_election_and_in_the_mean() -> None:
    base = np.zeros(2)
    tensors = [np.array([1.0, 2.0]), np.array([-2.0, 4.0])]
    merged = merge_ties(base, tensors, [3.0, 1.0], density=1.0, scale=1.0)
    np.testing.assert_allclose(merged, [1.0, (3 * 2 + 4) / 4])  # 3 * 1 against 1 * 2
    cancelled = merge_ties(base + 7, [base + 8, base + 6], [1.0, 1.0], density=1.0, scale=1.0)
    np.testing.assert_array_equal(cancelled, [7, 7])


def test_ties_equals_the_paper_s_steps_number_by_number() -> None:
    base = RANDOM.normal(size=(5, 7))
    tensors = [base + RANDOM.normal(size=base.shape) for _ in range(3)]
    kept = []
    for tensor in tensors:
        change = (tensor - base).ravel()
        order = np.argsort(-np.abs(change))[:11]  # 0.3 of 35, rounded up
        kept.append([change[place] if place in order else 0.0 for place in range(35)])
    expected = []
    for place in range(35):
        numbers = [row[place] for row in kept]
        positive = sum(numbers) > 0
        same = [number for number in numbers if number != 0 and (number > 0) == positive]
        expected.append(base.ravel()[place] + 0.7 * (sum(same) / len(same) if same else 0.0))
    merged = merge_ties(base, tensors, [1.0] * 3, density=0.3, scale=0.7)
    np.testing.assert_allclose(merged.ravel(), expected, rtol=1e-5, atol=1e-6)
