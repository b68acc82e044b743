"""Losses for labels: softmax cross-entropy for one label per text, sigmoid cross-entropy for several."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.training.losses import PairLoss
from tfchain.training.losses.label_checks import check_range, to_table


class LabelLoss(PairLoss):
    """The base of both losses; the encoder's outputs are the labels' scores.

    Args:
        name: The name in logs.
        label_smoothing: In [0, 1). Default: 0.
        class_weights: One weight for each label, above 0. Default: equal weights.

    Raises:
        InputError: if a value is out of range.
    """

    min_columns = 1
    max_columns = 1
    labels = "own"

    def __init__(self, name: str, label_smoothing: float, class_weights: Sequence[float] | None) -> None:
        super().__init__(name)
        self.label_smoothing = check_smoothing(label_smoothing)
        self.class_weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)
        if self.class_weights is not None and not all(0 < weight < float("inf") for weight in self.class_weights):
            raise InputError(f"`class_weights` must be above 0. Received: class_weights={class_weights!r:.200}.")

    def with_weights(self, class_weights: Sequence[float] | None) -> "LabelLoss":
        """Returns a copy of the loss with other weights."""
        config = {**self.get_config(), "class_weights": class_weights}
        return type(self)(**config)

    def get_config(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else list(self.class_weights)
        return {"label_smoothing": self.label_smoothing, "class_weights": weights}


@keras.saving.register_keras_serializable("tfchain")
class SoftmaxCrossEntropy(LabelLoss):
    """Cross-entropy for one label per text: the loss of a `TextClassificationChain`.

    Columns: one text. The label is a number, counted from 0. A row's loss is multiplied by its label's weight.

    Args:
        label_smoothing: The part `s` of the target that is spread over all labels: `(1 - s) * one_hot + s / labels`
            (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567). Default: 0.
        class_weights: One weight for each label. Default: equal weights.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__("softmax_cross_entropy", label_smoothing, class_weights)

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        super().check(num_columns, labels)
        table = to_table(self.name, labels)
        if table.shape[1] != 1:
            raise InputError(f"The loss `{self.name}` takes one label per row. Found {table.shape[1]} numbers per row.")
        check_range(self.name, table, (table >= 0) & (table == np.rint(table)), "numbers of labels, counted from 0")

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        logits = ops.cast(y_pred, "float32")[:, 0]  # (batch, labels)
        number = ops.cast(self.take(y_true, "labels")[:, 0], "int32")
        count = logits.shape[-1]
        target = ops.one_hot(number, count) * (1 - self.label_smoothing) + self.label_smoothing / count
        values = -ops.sum(target * ops.log_softmax(logits, axis=-1), axis=-1)
        if self.class_weights is None:
            return values
        return values * ops.take(ops.convert_to_tensor(self.class_weights, "float32"), number)


@keras.saving.register_keras_serializable("tfchain")
class SigmoidCrossEntropy(LabelLoss):
    """Independent cross-entropy of each label: the loss of a `TextClassificationChain` with `multi_label=True`.

    Columns: one text. The labels are a row of 0 and 1, one number per label. A row's loss is the mean over the labels;
    the terms of the labels that the text has are multiplied by their weights.

    Args:
        label_smoothing: How far targets move towards one half: `(1 - s) * target + s / 2`. Default: 0.
        class_weights: One weight for each label. Default: equal weights.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__("sigmoid_cross_entropy", label_smoothing, class_weights)

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        super().check(num_columns, labels)
        table = to_table(self.name, labels)
        check_range(self.name, table, (table == 0) | (table == 1), "0 or 1")

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        logits = ops.cast(y_pred, "float32")[:, 0]  # (batch, labels)
        target = self.take(y_true, "labels") * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = 1.0 if self.class_weights is None else ops.convert_to_tensor(self.class_weights, "float32")
        # -log σ(z) = softplus(-z), and -log(1 - σ(z)) = softplus(z)
        return ops.mean(weights * target * ops.softplus(-logits) + (1 - target) * ops.softplus(logits), axis=-1)


def balance_weights(table: np.ndarray, *, multi_label: bool) -> list[float]:
    """Computes weights that make rare labels count as much as frequent labels.

    Args:
        table: The labels of each text, `(texts, labels)`.
        multi_label: Whether a text may have several labels. If so, a weight is texts without the label / texts with it;
            if not, texts / (labels * texts with the label), as scikit-learn's `balanced`.

    Returns:
        One weight for each label; 1 for a label without texts.
    """
    rows, count = table.shape
    having = table.sum(axis=0)
    weights = (rows - having) / np.maximum(having, 1) if multi_label else rows / (count * np.maximum(having, 1))
    return [float(weight) for weight in np.where((having > 0) & (weights > 0), weights, 1.0)]


def check_smoothing(value: Any) -> float:
    """Returns `label_smoothing` as a float.

    Raises:
        InputError: if it is not a number in [0, 1).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"`label_smoothing` must be in [0, 1). Received: label_smoothing={value!r}. 0.1 is usual.")
    return float(value)
