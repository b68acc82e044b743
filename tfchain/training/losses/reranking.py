"""Losses of rerankers: from the outputs for a query's documents and their labels, pair by pair or as a list."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.label_checks import check_range, to_table

NO_DOCUMENT = -1e30  # the label of a place in a list that is shorter than others


class RerankingLoss(PairLoss):
    """The base of these losses: a row is a query with its documents, and each column a pair of both.

    `y_pred[:, :, 0]` are the outputs `(batch, documents)` before sigmoid, and the labels `(batch, documents)`, one for
    each document; `NO_DOCUMENT` where a row has fewer documents than others. A model with several outputs has none of
    these losses.

    Attributes:
        least_documents: The fewest documents of a row.
        label_range: The smallest and largest label.
        has_margins: Whether labels may also be margins, one fewer than documents.
    """

    min_columns = 1
    labels = "own"
    least_documents: ClassVar[int] = 1
    label_range: ClassVar[tuple[float, float]] = (-1e9, 1e9)
    has_margins: ClassVar[bool] = False

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        if num_columns < self.least_documents:
            raise InputError(
                f"The loss `{self.name}` compares the documents of a query. Found {num_columns} document a row. Give "
                f"rows of {self.least_documents} documents or more, or use `binary_cross_entropy`."
            )
        super().check(num_columns, labels)
        table = to_table(self.name, labels)
        widths = (num_columns - 1, num_columns) if self.has_margins else (num_columns,)
        if table.shape[1] not in widths:
            raise InputError(
                f"The loss `{self.name}` takes a label for each of {num_columns} documents a row. Found "
                f"{table.shape[1]}."
            )
        least, most = self.label_range
        allowed = ((table >= least) & (table <= most)) | is_missing(table)
        check_range(self.name, table, allowed, f"from {least:g} to {most:g}")

    def take_lists(self, y_true: Mapping[str, Any], y_pred: Any) -> tuple[Any, Any, Any]:
        """Returns outputs, labels (0 where there is no document), and 1 for each document, `(batch, documents)`."""
        outputs = ops.cast(y_pred, "float32")[:, :, 0]
        labels = self.take(y_true, "labels")
        missing = is_missing(labels)
        return outputs, ops.where(missing, 0.0, labels), ops.cast(ops.logical_not(missing), "float32")


def is_missing(labels: Any) -> Any:
    """Returns where a list has no document."""
    return labels <= NO_DOCUMENT / 2


@keras.saving.register_keras_serializable("tfchain")
class BinaryCrossEntropy(RerankingLoss):
    """Cross-entropy of each pair alone: its output's sigmoid should be its label.

    Columns: any number of documents; labels in [0, 1]: 1 for a document that answers, 0 for one that does not, or a
    teacher's score in between.

    Which sibling: the start for labelled pairs; `lambda` or `listwise_softmax` rank better once each query has a few
    hard negatives.

    Args:
        positive_weight: Factor of the term of the label, above 0: use the number of negatives for each positive, if
            there are many. Default: 1.

    Raises:
        InputError: if the weight is not above 0.
    """

    label_range = (0.0, 1.0)

    def __init__(self, positive_weight: float = 1.0) -> None:
        super().__init__("binary_cross_entropy")
        self.positive_weight = check_number("positive_weight", positive_weight, above=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        outputs, labels, present = self.take_lists(y_true, y_pred)
        # -log σ(z) = softplus(-z), and -log(1 - σ(z)) = softplus(z)
        terms = self.positive_weight * labels * ops.softplus(-outputs) + (1 - labels) * ops.softplus(outputs)
        return ops.sum(terms * present) / ops.maximum(ops.sum(present), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"positive_weight": self.positive_weight}


@keras.saving.register_keras_serializable("tfchain")
class ListwiseSoftmax(RerankingLoss):
    """Cross-entropy over a query's documents: the softmax of the outputs should be at the documents that answer.

    Columns: two documents or more; labels of 0 and above, which are divided by their sum; the usual row has a document
    of label 1 and negatives of label 0. A row without a label above 0 counts 0.

    Which sibling: `lambda` for graded labels; `list_net` if labels are scores of a teacher; `binary_cross_entropy` if
    the scores themselves should be probabilities.

    Paper: Bruch et al. 2019, An Analysis of the Softmax Cross Entropy Loss for Learning-to-Rank
    (https://doi.org/10.1145/3341981.3344221).
    """

    least_documents = 2
    label_range = (0.0, 1e9)

    def __init__(self) -> None:
        super().__init__("listwise_softmax")

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        outputs, labels, present = self.take_lists(y_true, y_pred)
        target = labels / ops.maximum(ops.sum(labels, axis=1, keepdims=True), 1e-9)
        return -ops.sum(target * masked_log_softmax(outputs, present), axis=1)


@keras.saving.register_keras_serializable("tfchain")
class ListNet(RerankingLoss):
    """Cross-entropy between the softmax of a query's labels and that of its outputs.

    Columns: two documents or more; labels: grades or a teacher's scores, of any range.

    Which sibling: `lambda` takes the same rows and mostly ranks better; `margin_mse` keeps a teacher's distances.

    Paper: Cao et al. 2007, Learning to Rank: From Pairwise Approach to Listwise Approach
    (https://doi.org/10.1145/1273496.1273513), with one document a place, as in sentence-transformers.
    """

    least_documents = 2

    def __init__(self) -> None:
        super().__init__("list_net")

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        outputs, labels, present = self.take_lists(y_true, y_pred)
        target = ops.exp(masked_log_softmax(labels, present)) * present
        return -ops.sum(target * masked_log_softmax(outputs, present), axis=1)


@keras.saving.register_keras_serializable("tfchain")
class LambdaLoss(RerankingLoss):
    """NDCG-Loss2++: each pair of documents in the wrong order counts as much as swapping them would change nDCG.

    Columns: two documents or more; labels: grades of 0 and above (the gain is `2^grade - 1`).

    Which sibling: the best choice for graded labels and for several documents that answer; `listwise_softmax` is as
    good for one of many, and cheaper; `binary_cross_entropy` for labelled pairs.

    Paper: Wang et al. 2018, The LambdaLoss Framework for Ranking Metric Optimization
    (https://doi.org/10.1145/3269206.3271784), equations 17 and 18 and section 4; the mean is over the pairs of all
    queries, and logarithms have the base 2, as in sentence-transformers.

    Args:
        mu: The weight of NDCG-Loss2 beside LambdaRank, 0 or above. Default: 10.
        k: Only pairs with a document in the first `k` places count. Default: None, all.
        sigma: Factor of the differences of outputs, above 0. Default: 1.

    Raises:
        InputError: if a value is out of range.
    """

    least_documents = 2
    label_range = (0.0, 30.0)

    def __init__(self, mu: float = 10.0, *, k: int | None = None, sigma: float = 1.0) -> None:
        super().__init__("lambda")
        self.mu = check_number("mu", mu, least=0)
        self.k = None if k is None else int(check_number("k", k, least=1))
        self.sigma = check_number("sigma", sigma, above=0)

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        outputs, labels, present = self.take_lists(y_true, y_pred)
        count = int(outputs.shape[1])
        k = min(self.k or count, count)
        order = ops.argsort(-ops.where(present > 0, outputs, NO_DOCUMENT), axis=1)
        outputs, grades, present = (ops.take_along_axis(values, order, axis=1) for values in (outputs, labels, present))
        discount = np.log2(np.arange(2, count + 2)).astype("float32")
        ideal = -ops.sort(-(2.0**labels - 1), axis=1) / discount  # labels of missing documents are 0
        gain = (2.0**grades - 1) / ops.maximum(ops.sum(ideal[:, :k], axis=1, keepdims=True), 1e-10)
        gains = ops.abs(ops.expand_dims(gain, 2) - ops.expand_dims(gain, 1))  # (batch, documents, documents)
        weights = (self.mu * _distance_weights(discount) + _place_weights(discount)) * gains
        differences = ops.clip(ops.expand_dims(outputs, 2) - ops.expand_dims(outputs, 1), -1e8, 1e8)
        terms = weights * ops.softplus(-self.sigma * differences) / np.log(2).astype("float32")
        places = np.arange(count)
        is_first = ((places[:, None] < k) | (places[None, :] < k)).astype("float32")
        higher = ops.cast(ops.expand_dims(grades, 2) > ops.expand_dims(grades, 1), "float32")
        counted = higher * is_first * ops.expand_dims(present, 2) * ops.expand_dims(present, 1)
        return ops.sum(terms * counted) / ops.maximum(ops.sum(counted), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"mu": self.mu, "k": self.k, "sigma": self.sigma}


@keras.saving.register_keras_serializable("tfchain")
class MarginDistillation(RerankingLoss):
    """The squared difference between the model's and a teacher's margins of a query's first document over the others.

    Columns: two documents or more, each row as many; labels: the teacher's score of each document, or its margins of
    the first document over the others.

    Which sibling: `list_net` if only the order of a teacher's scores matters.

    Paper: Hofstätter et al. 2020 (https://arxiv.org/abs/2010.02666).
    """

    least_documents = 2
    has_margins = True

    def __init__(self) -> None:
        super().__init__("margin_distillation")

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        outputs = ops.cast(y_pred, "float32")[:, :, 0]
        labels = self.take(y_true, "labels")
        present = ops.cast(ops.logical_not(is_missing(labels)), "float32")
        if labels.shape[1] == outputs.shape[1]:
            labels, present = labels[:, :1] - labels[:, 1:], present[:, 1:]
        errors = ops.square(outputs[:, :1] - outputs[:, 1:] - ops.where(present > 0, labels, 0.0))
        return ops.sum(errors * present) / ops.maximum(ops.sum(present), 1.0)


RERANKING_LOSSES: dict[str, type[RerankingLoss]] = {
    "binary_cross_entropy": BinaryCrossEntropy,
    "listwise_softmax": ListwiseSoftmax,
    "list_net": ListNet,
    "lambda": LambdaLoss,
    "margin_distillation": MarginDistillation,
}


def get_reranking_loss(choice: Any) -> RerankingLoss:
    """Returns a reranker's loss.

    Args:
        choice: A loss, its name, or a dict of `name` and its arguments.

    Raises:
        InputError: if it is not one of these losses, or an argument is unknown or out of range.
    """
    if isinstance(choice, RerankingLoss):
        return choice
    values = {"name": choice} if isinstance(choice, str) else choice
    name = values.get("name") if isinstance(values, Mapping) else None
    if name not in RERANKING_LOSSES:
        raise InputError(
            f"The loss of a reranker must be one of {', '.join(RERANKING_LOSSES)}. Received: loss={choice!r:.100}."
        )
    try:
        return RERANKING_LOSSES[name](**{key: value for key, value in values.items() if key != "name"})
    except TypeError as error:
        raise InputError(
            f"The loss `{name}` does not take these arguments: {error}. Received: {choice!r:.200}."
        ) from error


def masked_log_softmax(values: Any, present: Any) -> Any:
    """Returns the logarithm of the softmax over the documents that are there; 0 for the others.

    Args:
        values: float32 `(batch, documents)`.
        present: 1 for a document, 0 for none, float32 of the same shape.
    """
    return ops.log_softmax(ops.where(present > 0, values, -1e9), axis=1) * present


def _distance_weights(discount: np.ndarray) -> np.ndarray:
    """Returns `|1 / D(|i - j|) - 1 / D(|i - j| + 1)|` for places i and j, 0 on the diagonal: NDCG-Loss2."""
    places = np.arange(len(discount))
    distance = np.abs(places[:, None] - places[None, :])
    weights = np.abs(1 / discount[distance - 1] - 1 / discount[distance])
    np.fill_diagonal(weights, 0)
    return weights.astype("float32")


def _place_weights(discount: np.ndarray) -> np.ndarray:
    """Returns `|1 / D(i) - 1 / D(j)|`: LambdaRank."""
    return np.abs(1 / discount[:, None] - 1 / discount[None, :]).astype("float32")
