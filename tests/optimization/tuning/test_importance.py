"""What a hyperparameter has to do with the objective."""

import pytest

from tfchain.optimization.tuning.importance import measure_importance, to_groups


def test_it_is_epsilon_squared() -> None:
    # Two groups of two: SS within 0.5 + 0.5 over 2 degrees, SS in all 5 over 3.
    assert measure_importance(["a", "a", "b", "b"], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(1 - 0.5 / (5 / 3))


def test_a_best_value_in_the_middle_is_found() -> None:
    rates = [1e-6, 2e-6, 1e-5, 2e-5, 1e-4, 2e-4]
    assert measure_importance(rates, [0.5, 0.5, 0.7, 0.7, 0.5, 0.5]) == pytest.approx(1.0)


def test_what_chance_explains_does_not_count() -> None:
    assert measure_importance(["a", "b", "a", "b"], [1.0, 1.1, 2.0, 1.9]) == 0.0


@pytest.mark.parametrize(("values", "scores"), [
    ([], []), (["a", "b"], [1.0, 2.0]), (["a"] * 4, [1.0, 2.0, 3.0, 4.0]), (["a", "a", "b", "b"], [0.3] * 4),
    (["a", "b", "c"], [1.0, 2.0, 3.0]),
])  # fmt: skip
def test_what_cannot_be_told_is_nothing(values: list[str], scores: list[float]) -> None:
    assert measure_importance(values, scores) == 0.0


def test_equal_numbers_are_in_one_group() -> None:
    assert to_groups([1, 2, 2, 2, 3, 4]) == [0, 0, 0, 0, 2, 2]
    assert to_groups([3, 1, 2, 1]) == ["3", "1", "2", "1"]
    assert to_groups([None, [16, 8], True]) == ["null", "[16, 8]", "true"]
