"""Labels: probabilities and tables by hand."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.classification.labels import Labels


def test_probabilities_are_of_each_text_by_itself_however_large_its_logits() -> None:
    logits = np.array([[0.0, 0.0], [-2000.0, -2000.0], [2000.0, 0.0], [np.log(3), 0.0]])
    expected = [[0.5, 0.5], [0.5, 0.5], [1, 0], [0.75, 0.25]]
    np.testing.assert_allclose(Labels(("a", "b")).to_probabilities(logits), expected)
    several = Labels(("a", "b"), multi_label=True).to_probabilities(logits)
    np.testing.assert_allclose(several, [[0.5, 0.5], [0, 0], [1, 0.5], [0.75, 0.5]])


def test_a_temperature_divides_the_logits() -> None:
    logits = np.array([[2 * np.log(3), 0.0]], "float32")
    np.testing.assert_allclose(Labels(("a", "b"), temperature=2).to_probabilities(logits), [[0.75, 0.25]], rtol=1e-6)


def test_a_probability_at_the_threshold_is_enough_and_the_first_of_equals_is_the_label() -> None:
    labels = Labels(("a", "b"), multi_label=True)
    assert labels.thresholds_or_default.tolist() == [0.5, 0.5]
    assert labels.to_decisions(np.array([[0.5, 0.49]])).tolist() == [[True, False]]
    assert Labels(("a", "b", "c")).to_decisions(np.array([[0.2, 0.4, 0.4]])).tolist() == [[False, True, False]]


def test_a_table_has_a_column_for_each_label_in_their_order() -> None:
    labels = Labels(("b", "a"), multi_label=True)
    assert labels.to_table([("a",), (), ("a", "b")]).tolist() == [[False, True], [False, False], [True, True]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"names": ("a", "b", "a")}, "two different labels or more"),
        ({"names": ("a", "b"), "thresholds": (0.5,)}, "`thresholds` must have 2 values, one per label. Received: 1"),
        ({"names": ("a", "b"), "temperature": float("inf")}, "`temperature` must be above 0. Received: .*inf"),
    ],
)
def test_labels_that_do_not_fit_together_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Labels(**values)


def test_labels_read_from_json_are_those_that_were_saved() -> None:
    assert Labels(["a", "b"], True, thresholds=[0.1, 0.2], texts=["x"]) == Labels(  # type: ignore[arg-type]
        ("a", "b"), True, thresholds=(0.1, 0.2), texts=("x",)
    )
