"""The losses of labels beside scikit-learn and plain arithmetic."""

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from tfchain.core.errors import InputError
from tfchain.tasks.classification.losses import (
    LabelLoss,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    balance_weights,
)

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], dtype="float32")


def compute(loss: LabelLoss, labels: list[list[float]]) -> list[float]:
    values = loss.call({"labels": np.array(labels, "float32")}, LOGITS[:, None])
    return np.asarray(values).tolist()


def test_softmax_cross_entropy_is_the_log_loss() -> None:
    powers = np.exp(LOGITS)
    expected = log_loss([0, 2], powers / powers.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert np.mean(compute(SoftmaxCrossEntropy(), [[0], [2]])) == pytest.approx(expected, abs=1e-6)


def test_smoothing_and_weights_of_one_label() -> None:
    logs = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    smoothed = -(0.7 * logs[0, 0] + 0.1 * logs[0].sum())  # 0.3 shared by three
    loss = SoftmaxCrossEntropy(label_smoothing=0.3, class_weights=[4, 1, 0.5])
    assert compute(loss, [[0], [2]]) == [
        pytest.approx(4 * smoothed, rel=1e-5),
        pytest.approx(-0.5 * (0.7 * logs[1, 2] + 0.1 * logs[1].sum()), rel=1e-5),
    ]


def test_sigmoid_cross_entropy_weighs_the_labels_that_are_there() -> None:
    probabilities = 1 / (1 + np.exp(-LOGITS[0].astype("float64")))
    target = np.array([0.95, 0.05, 0.95])  # smoothed by 0.1
    terms = np.array([2, 1, 1]) * target * np.log(probabilities) + (1 - target) * np.log(1 - probabilities)
    loss = SigmoidCrossEntropy(label_smoothing=0.1, class_weights=[2, 1, 1])
    assert compute(loss, [[1, 0, 1], [0, 0, 0]])[0] == pytest.approx(-terms.mean(), rel=1e-5)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    targets = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    table = np.arange(3) == targets[:, None]
    assert balance_weights(table, multi_label=False) == pytest.approx(expected.tolist())
    assert balance_weights(table, multi_label=True) == pytest.approx([1.0, 5.0, 2.0])
    unseen = np.arange(4) == targets[:, None]
    assert balance_weights(unseen, multi_label=False)[3] == 1
    everywhere = np.array([[True, True, False], [True, False, False], [True, False, False], [True, False, False]])
    assert balance_weights(everywhere, multi_label=True) == [1, 3, 1]  # 0 would leave the first label untrained


@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, SigmoidCrossEntropy])
def test_a_loss_of_labels_is_made_again_from_its_configuration(kind: type[LabelLoss]) -> None:
    loss = kind(label_smoothing=0.1, class_weights=[1, 2, 3])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is kind
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        (SoftmaxCrossEntropy, [[0, 1]], "takes one label per row. Found 2 numbers"),
        (SoftmaxCrossEntropy, [[0.5]], "must be numbers of labels, counted from 0. Received: 0.5 in row 0"),
        (SigmoidCrossEntropy, [[0, 2]], "must be 0 or 1. Received: 2 in row 0"),
        (SigmoidCrossEntropy, None, "needs labels. Found none"),
    ],
)
def test_labels_of_another_form_are_refused_before_training(
    kind: type[LabelLoss], labels: list[list[float]] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        kind().check(1, None if labels is None else np.array(labels))


def test_arguments_out_of_range_are_named() -> None:
    with pytest.raises(InputError, match="`label_smoothing` must be in .0, 1.. Received: label_smoothing=1"):
        SoftmaxCrossEntropy(label_smoothing=1)
    with pytest.raises(InputError, match="`class_weights` must be above 0"):
        SigmoidCrossEntropy(class_weights=[1, 0])
