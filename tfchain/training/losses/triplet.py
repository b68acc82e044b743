"""Triplet loss: the positive must be closer to the query than the negative, by a margin."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import DISTANCES, pairwise_distance


@keras.saving.register_keras_serializable("tfchain")
class Triplet(PairLoss):
    """`max(0, distance(query, positive) - distance(query, negative) + margin)`, the mean over the row's negatives.

    Columns: query, positive, and one or more negatives (sentence-transformers takes one); no labels. Rows are not
    compared with each other, so a small batch loses nothing.

    Which sibling: `in_batch_softmax` takes the same rows, uses the batch's other documents as negatives too and is the
    usual choice for search; `margin_mse` if a teacher says how far apart the documents are.

    Papers: Schroff, Kalenichenko and Philbin 2015 (https://arxiv.org/abs/1503.03832), Hermans, Beyer and Leibe 2017
    (https://arxiv.org/abs/1703.07737).

    Args:
        distance: `euclidean`, `manhattan`, or `cosine` (1 minus the similarity). Default: `euclidean`.
        margin: By how much the negative must be further away, at least 0. Vectors of length 1 are never further than 2
            apart: give them a margin below 1. Default: 5, as in sentence-transformers.

    Raises:
        InputError: if a value is out of range.
    """

    min_columns = 3

    def __init__(
        self, distance: Literal["euclidean", "manhattan", "cosine"] = "euclidean", *, margin: float = 5.0
    ) -> None:
        super().__init__("triplet")
        self.distance = check_choice("distance", distance, DISTANCES)
        self.margin = check_number("margin", margin, least=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        distances = pairwise_distance(
            embeddings[:, :1], embeddings[:, 1:], self.distance
        )  # (batch, documents of a row)
        return ops.mean(ops.relu(distances[:, :1] - distances[:, 1:] + self.margin), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {"distance": self.distance, "margin": self.margin}
