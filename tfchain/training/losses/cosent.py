"""CoSENT and AnglE: pairs with a higher score must be more alike than pairs with a lower one."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.label_checks import check_columns, check_range, to_table
from tfchain.training.losses.similarity import LEFT_OUT, angle_similarity, pairwise_similarity


@keras.saving.register_keras_serializable("tfchain")
class CoSENT(PairLoss):
    """`log(1 + sum(exp(scale * (s_k - s_i))))` over all pairs i, k of the batch in which i has the higher score.

    Columns: two texts; labels: one score a row. Only the order of the scores counts, so any range will do; rows with
    equal scores are not compared.

    Which sibling: `angle` if similarities are near 1 or -1, where the cosine's gradient fades; `cosine_mse` if the
    cosine itself should equal the score; `online_contrastive` if scores are only 1 and 0.

    Paper: Huang et al. 2024, CoSENT: Consistent Sentence Embedding via Similarity Ranking
    (https://doi.org/10.1109/TASLP.2024.3402087).

    Args:
        scale: Factor of the cosine similarities, above 0. Default: 20.

    Raises:
        InputError: if `scale` is not above 0.
    """

    max_columns = 2
    labels = "score"

    def __init__(self, scale: float = 20.0) -> None:
        super().__init__("cosent")
        self.scale = check_number("scale", scale, above=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        similarities = pairwise_similarity(embeddings[:, 0], embeddings[:, 1], "cosine")
        return ranking_loss(self.scale * similarities, self.take(y_true, "labels")[:, 0])

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


@keras.saving.register_keras_serializable("tfchain")
class AnglE(PairLoss):
    """CoSENT with the angle between the vectors, read as complex numbers, instead of the cosine.

    Columns: two texts with one score a row, of any range; or a query, a positive and one or more negatives without
    labels: then positives score 1 and negatives 0. If rows with negatives have labels, a row's positive scores its
    label (in [0, 1]) and its negatives 1 minus that label, as in sentence-transformers.

    Which sibling: `cosent` is simpler, so try it first; for search use `in_batch_softmax`, to which the paper adds this
    loss.

    Paper: Li and Li 2024, AoE: Angle-optimized Embeddings for Semantic Textual Similarity
    (https://arxiv.org/abs/2309.12871). The sign of the difference follows the authors' code, not their equation 3.

    Args:
        scale: Factor of the angle similarities, above 0. Default: 20.

    Raises:
        InputError: if `scale` is not above 0.
    """

    labels = "score"

    def __init__(self, scale: float = 20.0) -> None:
        super().__init__("angle")
        self.scale = check_number("scale", scale, above=0)

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        if num_columns > 2 and labels is None:
            check_columns(self.name, self.min_columns, self.max_columns, num_columns)
            return
        super().check(num_columns, labels)
        if num_columns > 2:
            table = to_table(self.name, labels)
            check_range(self.name, table, (table >= 0) & (table <= 1), "from 0 to 1 where rows have negatives")

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        similarities = angle_similarity(embeddings[:, :1], embeddings[:, 1:])  # (batch, documents of a row)
        if "labels" in y_true or embeddings.shape[1] == 2:
            labels = self.take(y_true, "labels")[:, :1]
        else:
            labels = ops.ones_like(similarities[:, :1])
        if embeddings.shape[1] > 2:
            labels = ops.concatenate([labels, 1.0 - labels + ops.zeros_like(similarities[:, 1:])], axis=1)
        return ranking_loss(self.scale * ops.reshape(similarities, (-1,)), ops.reshape(labels, (-1,)))

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


def ranking_loss(similarities: Any, scores: Any) -> Any:
    """`log(1 + sum(exp(similarity of k - similarity of i)))` over all i with a higher score than k.

    Args:
        similarities: Scaled similarities, `(pairs,)`.
        scores: The scores that should order them, `(pairs,)`.

    Returns:
        A scalar, 0 if all scores are the same.
    """
    differences = ops.expand_dims(similarities, 0) - ops.expand_dims(similarities, 1)  # [i, k]: of k minus of i
    is_higher = ops.expand_dims(scores, 1) > ops.expand_dims(scores, 0)
    terms = ops.reshape(ops.where(is_higher, differences, LEFT_OUT), (-1,))
    return ops.logsumexp(ops.concatenate([ops.zeros((1,), dtype="float32"), terms], axis=0))
