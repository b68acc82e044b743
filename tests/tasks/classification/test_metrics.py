"""Metrics, temperature and thresholds, by hand and beside scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from tfchain.core.errors import InputError
from tfchain.tasks.classification.calibration import calibrate, find_temperature, find_thresholds
from tfchain.tasks.classification.labels import Labels, sort_labels
from tfchain.tasks.classification.metrics import find_calibration_error, find_log_loss, measure


def make_data(*, multi_label: bool, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the probabilities that they say."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (rows, 3))
    if multi_label:
        return logits, random.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))
    powers = np.exp(logits)
    drawn = [random.choice(3, p=row / row.sum()) for row in powers]
    return logits, np.arange(3) == np.array(drawn)[:, None]


def test_metrics_are_those_of_scikit_learn() -> None:
    logits, table = make_data(multi_label=False)
    powers = np.exp(logits / 2)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    right, found = table.argmax(axis=1), logits.argmax(axis=1)
    measured = measure(logits, table, Labels(("a", "b", "c"), temperature=2.0))
    assert measured["accuracy"] == pytest.approx(accuracy_score(right, found))
    assert measured["macro_f1"] == pytest.approx(f1_score(right, found, average="macro"))
    assert measured["log_loss"] == pytest.approx(log_loss(right, probabilities))


def test_several_labels_are_each_measured_for_itself() -> None:
    logits = np.log(np.array([[3.0, 1 / 3], [3.0, 3.0], [1 / 3, 1 / 3]]))  # probabilities of 3/4 and 1/4
    table = np.array([[True, False], [True, False], [False, False]])
    measured = measure(logits, table, Labels(("a", "b"), multi_label=True))
    assert measured["accuracy"] == pytest.approx(2 / 3)  # all of a text's labels
    assert measured["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert measured["log_loss"] == pytest.approx((5 * -np.log(0.75) - np.log(0.25)) / 6)
    assert measured["ece"] == pytest.approx(5 / 6 - 0.75)  # six decisions of 0.75, five of them right


def test_thresholds_decide_which_labels_a_text_has() -> None:
    labels = Labels(("a", "b"), multi_label=True, thresholds=(0.2, 0.9))
    assert labels.to_decisions(np.array([[0.25, 0.8], [0.1, 0.95]])).tolist() == [[True, False], [False, True]]
    one_each = Labels(("a", "b"))
    assert one_each.to_decisions(np.array([[0.25, 0.75]])).tolist() == [[False, True]]


def test_the_calibration_error_weighs_bins_by_their_decisions() -> None:
    confidences = np.array([0.95, 0.95, 0.95, 0.55])
    is_right = np.array([True, True, False, False])
    # Bins of a tenth: three decisions at 0.95 with 2/3 right, one at 0.55 with none right.
    expected = 3 / 4 * abs(0.95 - 2 / 3) + 1 / 4 * 0.55
    assert find_calibration_error(confidences, is_right, num_bins=10) == pytest.approx(expected)
    assert find_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    # A bin holds its upper end: 0.4 and 0.5 are in the first of two, and all but make up for each other.
    assert find_calibration_error(np.array([0.5, 0.4]), np.array([False, True]), num_bins=2) == pytest.approx(0.05)


def test_an_answer_that_is_surely_wrong_costs_a_finite_loss() -> None:
    worst = 7 * np.log(10)  # of a probability of 1e-7
    sure = np.array([[1.0, 0.0]])
    assert find_log_loss(sure, np.array([[False, True]]), multi_label=False) == pytest.approx(worst)
    assert find_log_loss(sure, np.array([[False, True]]), multi_label=True) == pytest.approx(worst)
    assert find_log_loss(sure, np.array([[True, False]]), multi_label=True) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_temperature_undoes_a_factor_and_no_other_has_a_lower_log_loss(multi_label: bool) -> None:
    logits, table = make_data(multi_label=multi_label, rows=4000)
    honest = find_temperature(logits, table, multi_label=multi_label)
    assert honest == pytest.approx(1, abs=0.1)
    assert find_temperature(3 * logits, table, multi_label=multi_label) == pytest.approx(3 * honest, rel=1e-6)
    losses = [
        find_log_loss(
            Labels(("a", "b", "c"), multi_label, temperature=value).to_probabilities(logits), table,
            multi_label=multi_label,
        )
        for value in (honest, 0.99 * honest, 1.01 * honest)
    ]  # fmt: skip
    assert min(losses) == losses[0]


def test_calibration_lowers_the_error_of_a_model_that_is_too_sure() -> None:
    logits, table = make_data(multi_label=False, rows=4000)
    plain = Labels(("a", "b", "c"))
    before = measure(4 * logits, table, plain)
    after = measure(4 * logits, table, calibrate(4 * logits, table, plain))
    assert before["ece"] > 0.15
    assert after["ece"] < 0.03
    assert after["log_loss"] < before["log_loss"]
    assert after["accuracy"] == before["accuracy"]


def test_a_threshold_lies_where_f1_is_best() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.2], [0.3, 0.3], [0.1, 0.4]])
    table = np.array([[True, False], [True, False], [True, False], [False, False]])
    # The first label: all three and nothing else from 0.2 on. The second: no text has it.
    assert find_thresholds(probabilities, table) == (pytest.approx(0.2), 0.5)
    equal = np.array([[0.5], [0.5], [0.4]])
    assert find_thresholds(equal, np.array([[True], [False], [True]])) == (pytest.approx(0.2),)


def test_labels_are_sorted_as_numbers_where_all_are() -> None:
    assert sort_labels({"10", "9", "1"}) == ("1", "9", "10")
    assert sort_labels({"b", "10", "a"}) == ("10", "a", "b")


def test_labels_say_what_they_cannot_be() -> None:
    with pytest.raises(InputError, match="two different labels or more. Received: \\['a'\\]"):
        Labels(("a",))
    with pytest.raises(InputError, match="`temperature` must be above 0"):
        Labels(("a", "b"), temperature=0)
    with pytest.raises(InputError, match="Row 1 .* has the label 'z', which the model does not have. The labels: a, b"):
        Labels(("a", "b")).to_table([("a",), ("z",)])
    assert dataclasses.asdict(Labels(("a", "b")))["names"] == ("a", "b")
