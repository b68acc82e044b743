"""What a version of a classifier must answer: labels and scores by hand, and where rounding may decide."""

import numpy as np
import pytest

from tfchain.tasks.classification.graph import expect_answers
from tfchain.tasks.classification.labels import Labels


def test_the_best_labels_are_expected_with_their_scores() -> None:
    logits = np.log(np.array([[1.0, 6.0, 3.0], [5.0, 1.0, 4.0]], "float32"))
    expected = expect_answers(logits, Labels(("a", "b", "c")), 2, 1e-5)
    assert expected.outputs["labels"].tolist() == [[b"b", b"c"], [b"a", b"c"]]
    np.testing.assert_allclose(expected.outputs["scores"], [[0.6, 0.3], [0.5, 0.4]], rtol=1e-6)
    assert expected.outputs["scores"].dtype == np.float32
    assert expected.ties["labels"].tolist() == [[False, False], [False, False]]
    assert set(expected.outputs) == {"labels", "scores"}


@pytest.mark.parametrize(("temperature", "tolerance"), [(0.5, 1e-4), (2.0, 2.5e-5), (50.0, 1e-5)])
def test_scores_may_differ_by_half_of_what_rounding_does_to_the_largest_logit(
    temperature: float, tolerance: float
) -> None:
    labels = Labels(("a", "b"), temperature=temperature)
    assert expect_answers(np.array([[-10.0, 0.0]]), labels, 1, 1e-5).tolerance == pytest.approx(tolerance)


def test_the_last_label_of_an_answer_may_be_tied_with_the_next() -> None:
    expected = expect_answers(np.array([[1.0, 0.0, 0.0]]), Labels(("a", "b", "c")), 2, 1e-5)
    assert expected.ties["labels"].tolist() == [[False, True]]
    assert expected.outputs["labels"].tolist() == [[b"a", b"b"]]


def test_a_score_at_the_threshold_may_be_chosen_or_not() -> None:
    labels = Labels(("a", "b", "c"), multi_label=True, thresholds=(0.5, 0.5, 0.1))
    expected = expect_answers(np.array([[0.0, 1.0, -1.0]]), labels, 3, 1e-5)
    assert expected.outputs["labels"].tolist() == [[b"b", b"a", b"c"]]
    assert expected.outputs["chosen"].tolist() == [[True, True, True]]
    assert expected.ties["chosen"].tolist() == [[False, True, False]]
    assert expected.ties["labels"].tolist() == [[False, False, False]]
