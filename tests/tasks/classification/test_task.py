"""Classification as a task: what a training starts from, its loss and targets, and what its end leaves."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.classification import task as module
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy
from tfchain.tasks.classification.task import ClassificationTask, check_pairs
from tfchain.tasks.text_rows import TextRows
from tfchain.training.losses import get_loss

LABELS = Labels(("a", "b"))
ROWS = TextRows(["x", "y", "z"], [("a",), ("b",), ("a",)])
MODEL: Any = SimpleNamespace()


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], list[str], list[list[bool]]]]:
    """The heads that were fitted: labels, texts, table. Every model counts as one with a head."""
    fitted: list[tuple[tuple[str, ...], list[str], list[list[bool]]]] = []

    def fit(_: Any, labels: Labels, texts: list[str], table: np.ndarray) -> str:
        fitted.append((labels.names, texts, table.tolist()))
        return "new head"

    monkeypatch.setattr(module, "fit_logistic_head", fit)
    monkeypatch.setattr(module, "has_head", lambda _: True)
    return fitted


def test_a_model_that_knows_the_labels_keeps_its_head_and_its_order(heads: list) -> None:
    known = Labels(("b", "c", "a"), temperature=3.0)
    model, labels = ClassificationTask().adapt(MODEL, known, ROWS)
    assert model is MODEL
    assert heads == []
    assert labels == Labels(("b", "c", "a"), texts=("x", "y", "z"))  # calibrated anew at the end


def test_a_model_with_other_labels_gets_a_new_head(heads: list, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model, labels = ClassificationTask().adapt(MODEL, Labels(("a", "c")), ROWS)
    assert (model, labels.names) == ("new head", ("a", "b"))
    assert heads == [(("a", "b"), ["x", "y", "z"], [[True, False], [False, True], [True, False]])]
    assert "Other labels in the data (2) than the model has (2): new head." in caplog.text


def test_a_head_may_be_fitted_anew_on_all_rows(heads: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "choose_rows", lambda table: np.array([0, 1]))
    task = ClassificationTask()
    assert task.adapt(MODEL, LABELS, ROWS, keeps_head=False)[0] == "new head"
    assert task.adapt(MODEL, None, ROWS)[0] == "new head"
    assert [texts for _, texts, _ in heads] == [["x", "y", "z"], ["x", "y"]]


def test_targets_are_numbers_of_labels_or_a_row_for_several() -> None:
    single = ClassificationTask().to_targets(ROWS, LABELS)
    assert (single.tolist(), single.dtype) == ([[0], [1], [0]], "float32")
    several = ClassificationTask(multi_label=True).to_targets(TextRows(["x"], [("b",)]), Labels(("a", "b"), True))
    assert (several.tolist(), several.dtype) == ([[0, 1]], "float32")


def test_the_loss_has_the_tasks_smoothing_and_weights() -> None:
    loss = ClassificationTask(label_smoothing=0.1, class_weights={"b": 3}).make_loss(ROWS, LABELS)
    assert isinstance(loss, SoftmaxCrossEntropy)
    assert (loss.label_smoothing, loss.class_weights) == (0.1, (1.0, 3.0))
    balanced = ClassificationTask(class_weights="balanced").make_loss(ROWS, LABELS)
    assert balanced.class_weights == pytest.approx((3 / 4, 3 / 2))  # rows / (labels * rows with the label)
    several = ClassificationTask(multi_label=True).make_loss(ROWS, Labels(("a", "b"), True))
    assert isinstance(several, SigmoidCrossEntropy)
    assert several.class_weights is None


def test_a_given_loss_keeps_its_smoothing_and_gets_the_weights() -> None:
    loss = ClassificationTask(label_smoothing=0.1, class_weights={"a": 2}).make_loss(
        ROWS, LABELS, SoftmaxCrossEntropy(0.3)
    )
    assert (loss.label_smoothing, loss.class_weights) == (0.3, (2.0, 1.0))
    with pytest.raises(InputError, match="has its own loss, softmax_cross_entropy. Received: "):
        ClassificationTask().check_loss(get_loss("cosent"))
    ClassificationTask().check_loss(SoftmaxCrossEntropy(0.3))
    ClassificationTask().check_loss(None)


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match="`class_weights` must name labels of the data. Received: 'z'.* labels: a, b"):
        ClassificationTask(class_weights={"z": 2}).make_loss(ROWS, LABELS)
    with pytest.raises(InputError, match="`class_weights` must be 'balanced' or a dict .* Received: 'equal'"):
        ClassificationTask(class_weights="equal")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`label_smoothing` must be in"):
        ClassificationTask(label_smoothing=-0.1)
    with pytest.raises(InputError, match="`top_k` must be a whole number of at least 1. Received: top_k=0"):
        ClassificationTask().check_serving(signatures="text", options={"top_k": 0})


def test_a_training_without_validation_data_forgets_the_calibration_of_the_old_weights() -> None:
    old = Labels(("a", "b"), True, temperature=2.0, thresholds=(0.1, 0.2), texts=("x",))
    found = ClassificationTask(multi_label=True).finish(MODEL, old, None, batch_size=8)
    assert found == Labels(("a", "b"), True, texts=("x",))


def test_pairs_and_single_texts_are_not_mixed() -> None:
    pairs = TextRows(["x"], [("a",)], ["y"])
    check_pairs(ROWS, LABELS)
    check_pairs(pairs, Labels(("a", "b"), paired=True))
    with pytest.raises(InputError, match="The chain was trained on single texts. Received: pairs of texts"):
        check_pairs(pairs, LABELS)
    with pytest.raises(InputError, match="The chain was trained on pairs of texts. Received: single texts"):
        check_pairs(ROWS, Labels(("a", "b"), paired=True))


def test_of_several_labels_macro_f1_is_the_objective() -> None:
    assert (ClassificationTask().objective, ClassificationTask(multi_label=True).objective) == ("accuracy", "macro_f1")


def test_texts_to_learn_from_are_those_of_the_training() -> None:
    task = ClassificationTask()
    assert task.learning_texts(Labels(("a", "b"), texts=("x", "y"))) == ["x", "y"]
    assert task.learning_texts(LABELS) is None
    assert task.learning_texts(None) is None
