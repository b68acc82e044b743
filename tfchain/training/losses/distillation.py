"""Distillation: learning from a teacher's scores of a query's documents (MarginMSE, KL divergence)."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import SIMILARITIES, pairwise_similarity


@keras.saving.register_keras_serializable("tfchain")
class MarginMSE(PairLoss):
    """The squared difference between the model's and the teacher's margins of a query's first document over the others.

    Columns: query, a document, and one or more other documents; labels: for each other document the teacher's score of
    the first document minus its own, or the teacher's scores of all documents. The documents need not be a positive
    and negatives: all may be relevant, or none.

    Which sibling: `kl_divergence` if a row has many documents and their order matters more than their distances;
    `in_batch_softmax` without a teacher, which also learns faster, because it compares with the whole batch.

    Paper: Hofstätter et al. 2020 (https://arxiv.org/abs/2010.02666).

    Args:
        similarity: The model's score: `dot`, which can reach any margin, or `cosine`, for teachers' margins in [-2, 2].
            Default: `dot`.

    Raises:
        InputError: if the similarity is unknown.
    """

    min_columns = 3
    labels = "margin"

    def __init__(self, similarity: Literal["dot", "cosine"] = "dot") -> None:
        super().__init__("margin_mse")
        self.similarity = check_choice("similarity", similarity, SIMILARITIES)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        scores = pairwise_similarity(
            embeddings[:, :1], embeddings[:, 1:], self.similarity
        )  # (batch, documents of a row)
        labels = self.take(y_true, "labels")
        documents = int(scores.shape[1])
        if labels.shape[1] == documents:
            labels = labels[:, :1] - labels[:, 1:]
        elif labels.shape[1] != documents - 1:
            raise InputError(
                f"`labels` of the loss `{self.name}` must have {documents - 1} or {documents} columns. "
                f"Received: shape {tuple(labels.shape)}."
            )
        return ops.mean(ops.square(scores[:, :1] - scores[:, 1:] - labels), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {"similarity": self.similarity}


@keras.saving.register_keras_serializable("tfchain")
class KLDivergence(PairLoss):
    """Kullback-Leibler divergence of the model's softmax over a query's documents from the teacher's.

    Columns: query and two or more documents; labels: the teacher's score of each document, of any range.

    Which sibling: `margin_mse` if a row has few documents, or to keep the teacher's distances; `in_batch_softmax`
    without a teacher.

    Papers: Lin, Yang and Lin 2020 (https://arxiv.org/abs/2010.11386); the temperature from Hinton, Vinyals and Dean
    2015 (https://arxiv.org/abs/1503.02531).

    Args:
        temperature: Divisor of the scores before the softmax, above 0; higher is softer. The loss is multiplied by its
            square, so that the gradients keep their size. Default: 1.
        teacher_temperature: The teacher's temperature, if its scores are spread wider or narrower: use about their
            spread. Default: None, the same as `temperature`.
        similarity: The model's score: `dot` or `cosine` (with a temperature of 0.05 or so). Default: `dot`.

    Raises:
        InputError: if a value is out of range.
    """

    min_columns = 3
    labels = "scores"

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        teacher_temperature: float | None = None,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        super().__init__("kl_divergence")
        self.temperature = check_number("temperature", temperature, above=0)
        self.teacher_temperature = (
            None if teacher_temperature is None else check_number("teacher_temperature", teacher_temperature, above=0)
        )
        self.similarity = check_choice("similarity", similarity, SIMILARITIES)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        scores = pairwise_similarity(
            embeddings[:, :1], embeddings[:, 1:], self.similarity
        )  # (batch, documents of a row)
        labels = self.take(y_true, "labels")
        if labels.shape[1] != scores.shape[1]:
            raise InputError(
                f"`labels` of the loss `{self.name}` must have {scores.shape[1]} columns, one for each document. "
                f"Received: shape {tuple(labels.shape)}."
            )
        model_log = ops.log_softmax(scores / self.temperature, axis=1)
        teacher_log = ops.log_softmax(labels / (self.teacher_temperature or self.temperature), axis=1)
        divergences = ops.sum(ops.exp(teacher_log) * (teacher_log - model_log), axis=1)
        return self.temperature**2 * divergences

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "teacher_temperature": self.teacher_temperature,
            "similarity": self.similarity,
        }
