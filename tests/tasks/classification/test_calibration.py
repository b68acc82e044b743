"""Temperature and thresholds at the edges; `test_metrics.py` has them with the metrics that they improve."""

import numpy as np
import pytest

from tfchain.tasks.classification.calibration import calibrate, find_temperature, find_thresholds
from tfchain.tasks.classification.labels import Labels


def test_a_threshold_is_never_zero_where_every_text_would_have_the_label() -> None:
    assert find_thresholds(np.array([[0.0], [0.0]]), np.array([[True], [False]])) == (1e-7,)


def test_the_first_of_equally_good_thresholds_is_taken() -> None:
    # F1 is 2/3 both after the first text (1 of 1, of two) and after all four (2 of 4, of two).
    probabilities, table = np.array([[0.8], [0.6], [0.4], [0.2]]), np.array([[True], [False], [False], [True]])
    assert find_thresholds(probabilities, table) == (pytest.approx(0.7),)


def test_no_threshold_parts_texts_of_equal_probability() -> None:
    # Between the two of 0.5, F1 would be 1; after the first text it is 2/3, after all three 4/5.
    probabilities, table = np.array([[0.9], [0.5], [0.5]]), np.array([[True], [True], [False]])
    assert find_thresholds(probabilities, table) == (pytest.approx(0.25),)


@pytest.mark.parametrize(("right", "expected"), [(0, 1 / 50), (1, 50)])
def test_the_temperature_stays_in_bounds_for_a_model_that_is_always_right_or_always_wrong(
    right: int, expected: float
) -> None:
    logits, table = np.array([[1.0, -1.0]] * 3), np.arange(2) == np.full((3, 1), right)
    assert find_temperature(logits, table, multi_label=False) == pytest.approx(expected)


def test_only_several_labels_get_thresholds_and_earlier_values_do_not_count() -> None:
    logits = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    table = np.array([[True, False], [False, True], [False, True], [True, False]])
    assert calibrate(logits, table, Labels(("a", "b"), temperature=3.0, thresholds=(0.1, 0.2))).thresholds == ()
    fresh = calibrate(logits, table, Labels(("a", "b"), multi_label=True))
    assert len(fresh.thresholds) == 2
    assert calibrate(logits, table, Labels(("a", "b"), True, temperature=3.0, thresholds=(0.1, 0.2))) == fresh
