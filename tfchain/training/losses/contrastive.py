"""Contrastive losses: pairs labelled 1 are drawn together, pairs labelled 0 pushed apart up to a margin."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import DISTANCES, pairwise_distance

Distance = Literal["cosine", "euclidean", "manhattan"]


@keras.saving.register_keras_serializable("tfchain")
class Contrastive(PairLoss):
    """Half the squared distance for a positive, half the squared shortfall from the margin for a negative.

    Columns: two texts; labels: 1 if they belong together, 0 if not.

    Which sibling: `online_contrastive` learns from the batch's hard pairs only, which is often better according to
    sentence-transformers' docs; `cosent` if labels are grades instead of 1 and 0; `in_batch_softmax` if all pairs are
    positives, which this loss would draw to a single point.

    Paper: Hadsell, Chopra and LeCun 2006, Dimensionality Reduction by Learning an Invariant Mapping
    (https://doi.org/10.1109/CVPR.2006.100).

    Args:
        distance: `cosine` (1 minus the similarity), `euclidean` or `manhattan`. Default: `cosine`.
        margin: The distance beyond which a negative costs nothing, above 0. Default: 0.5.

    Raises:
        InputError: if a value is out of range.
    """

    max_columns = 2
    labels = "binary"

    def __init__(self, distance: Distance = "cosine", *, margin: float = 0.5) -> None:
        super().__init__("contrastive")
        self.distance = check_choice("distance", distance, DISTANCES)
        self.margin = check_number("margin", margin, above=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        labels = self.take(y_true, "labels")[:, 0]
        distances = pairwise_distance(embeddings[:, 0], embeddings[:, 1], self.distance)
        lacking = ops.relu(self.margin - distances)
        return 0.5 * (labels * ops.square(distances) + (1.0 - labels) * ops.square(lacking))

    def get_config(self) -> dict[str, Any]:
        return {"distance": self.distance, "margin": self.margin}


@keras.saving.register_keras_serializable("tfchain")
class OnlineContrastive(PairLoss):
    """The contrastive loss of the batch's hard pairs only, summed.

    Columns: two texts; labels: 1 if they belong together, 0 if not. A negative is hard if it is closer than the
    furthest positive, a positive if it is further than the closest negative. In a batch without positives, the
    negatives closer than their mean are hard; in a batch without negatives, the positives further than theirs. The
    squares are summed, neither halved nor averaged, so the loss grows with the batch.

    Which sibling: `contrastive` if batches are too small to hold hard pairs; `cosent` if labels are grades.

    Source: sentence-transformers' OnlineContrastiveLoss, after Hadsell, Chopra and LeCun 2006
    (https://doi.org/10.1109/CVPR.2006.100); the choice of hard pairs within the batch as in Schroff et al. 2015
    (https://arxiv.org/abs/1503.03832).

    Args:
        distance: `cosine` (1 minus the similarity), `euclidean` or `manhattan`. Default: `cosine`.
        margin: The distance beyond which a negative costs nothing, above 0. Default: 0.5.

    Raises:
        InputError: if a value is out of range.
    """

    max_columns = 2
    labels = "binary"

    def __init__(self, distance: Distance = "cosine", *, margin: float = 0.5) -> None:
        super().__init__("online_contrastive")
        self.distance = check_choice("distance", distance, DISTANCES)
        self.margin = check_number("margin", margin, above=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        is_positive = self.take(y_true, "labels")[:, 0] > 0.5
        is_negative = ops.logical_not(is_positive)
        distances = pairwise_distance(embeddings[:, 0], embeddings[:, 1], self.distance)
        furthest_positive = ops.max(ops.where(is_positive, distances, -float("inf")))
        closest_negative = ops.min(ops.where(is_negative, distances, float("inf")))
        near = ops.where(ops.any(is_positive), furthest_positive, ops.mean(distances))
        far = ops.where(ops.any(is_negative), closest_negative, ops.mean(distances))
        hard_negative = ops.logical_and(is_negative, distances < near)
        hard_positive = ops.logical_and(is_positive, distances > far)
        lacking = ops.relu(self.margin - distances)
        squares = ops.where(hard_positive, ops.square(distances), 0.0) + ops.where(
            hard_negative, ops.square(lacking), 0.0
        )
        return ops.sum(squares)

    def get_config(self) -> dict[str, Any]:
        return {"distance": self.distance, "margin": self.margin}
