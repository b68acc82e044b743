"""Predictions: decisions and scores by hand."""

import numpy as np
import pytest

from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.predictions import Prediction, make_predictions


def test_the_best_labels_come_first_and_equal_ones_in_their_order() -> None:
    logits = np.log(np.array([[1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]))
    first, second = make_predictions(["x", "y"], logits, Labels(("a", "b", "c")), 3)
    assert first == {"text": "x", "label": "b"}
    assert [label for label, _ in first.scores] == ["b", "a", "c"]
    assert [score for _, score in first.scores] == pytest.approx([0.5, 0.25, 0.25])
    assert second == {"text": "y", "label": "a"}
    assert [label for label, _ in second.scores] == ["a", "b", "c"]
    assert type(first.scores[0].score) is float


def test_a_limit_of_scores_limits_no_decision() -> None:
    logits = np.array([[1.0, 3.0, -1.0, 2.0], [-1.0] * 4])
    labels = Labels(("a", "b", "c", "d"), multi_label=True)
    found, none = make_predictions([("x", "y"), ("z", "w")], logits, labels, 1)
    assert found == {"text": ("x", "y"), "labels": ["b", "d", "a"]}
    assert [label for label, _ in found.scores] == ["b"]
    assert none == {"text": ("z", "w"), "labels": []}
    assert [label for label, _ in none.scores] == ["a"]


def test_scores_are_no_part_of_the_dict() -> None:
    assert repr(Prediction("x", "a", [])) == "{'text': 'x', 'label': 'a'}"
