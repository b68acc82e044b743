"""Cosine MSE: trains the cosine of two texts to equal their score."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.label_checks import check_range, to_table
from tfchain.training.losses.similarity import pairwise_similarity


@keras.saving.register_keras_serializable("tfchain")
class CosineMSE(PairLoss):
    """The squared difference between the cosine similarity and the score.

    Columns: two texts; labels: one score a row, in [-1, 1] (divide grades of 0 to 5 by 5).

    Which sibling: `cosent` learns from the same rows and is what sentence-transformers' docs advise; use this loss if
    the cosine's value itself matters, for example for a fixed threshold. `margin_mse` and `kl_divergence` if a teacher
    scored several documents of a query.

    Paper: Reimers and Gurevych 2019, Sentence-BERT, its regression objective (https://arxiv.org/abs/1908.10084).
    """

    max_columns = 2
    labels = "score"

    def __init__(self) -> None:
        super().__init__("cosine_mse")

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        super().check(num_columns, labels)
        table = to_table(self.name, labels)
        check_range(self.name, table, np.abs(table) <= 1, "from -1 to 1, as a cosine is")

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        cosines = pairwise_similarity(embeddings[:, 0], embeddings[:, 1], "cosine")
        return ops.square(cosines - self.take(y_true, "labels")[:, 0])
