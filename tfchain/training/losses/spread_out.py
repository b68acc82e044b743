"""Spread-out regularisation (GOR): any loss, and a cost for vectors of different rows that crowd together."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import SIMILARITIES, similarity_matrix

AGGREGATIONS = ("mean", "sum")


@keras.saving.register_keras_serializable("tfchain")
class SpreadOut(PairLoss):
    """A loss, plus what keeps the vectors of different rows spread over the sphere as random ones are.

    Two random unit vectors of d dimensions have a similarity of mean 0 and mean square 1 / d. In each column of texts,
    the squared mean of the similarities of different rows costs `mean_weight` times as much, and their mean square,
    as far as it is above 1 / d, `second_moment_weight` times as much.

    Columns and labels: those of the loss inside.

    When: around a contrastive loss such as `in_batch_softmax`, above all if vectors are quantized, which takes their
    space in full, or if all similarities lie close together. A column in which texts repeat, such as one document for
    many queries, is pushed apart no further than its other rows: equal vectors have no gradient.

    Papers: Zhang et al. 2017 (https://arxiv.org/abs/1708.06320); in EmbeddingGemma with `mean_weight=0` and
    `aggregation="sum"`, Schechter Vera et al. 2025 (https://arxiv.org/abs/2509.20354).

    Args:
        loss: The loss inside.
        mean_weight: Weight of the squared mean, at least 0. Default: 1.
        second_moment_weight: Weight of the mean square above 1 / d, at least 0. Default: 1.
        aggregation: Whether the columns' costs are combined as `mean` or `sum`. Default: `mean`.
        similarity: `cosine` or `dot`. Default: `cosine`.

    Raises:
        InputError: if `loss` is not a loss, a value is out of range, or both weights are 0.

    Example:
        >>> import numpy as np
        >>> from tfchain.training.losses import InBatchSoftmax
        >>> loss = SpreadOut(InBatchSoftmax())
        >>> crowded = np.ones((2, 2, 4), "float32")
        >>> round(float(loss({}, crowded)), 4)  # log(2), a squared mean of 1, and a mean square of 1 - 1 / 4
        2.4431
    """

    def __init__(
        self,
        loss: PairLoss,
        *,
        mean_weight: float = 1.0,
        second_moment_weight: float = 1.0,
        aggregation: Literal["mean", "sum"] = "mean",
        similarity: Literal["cosine", "dot"] = "cosine",
    ) -> None:
        super().__init__("spread_out")
        if not isinstance(loss, PairLoss):
            raise InputError(f"`loss` must be a loss of tfchain, such as InBatchSoftmax(). Received: loss={loss!r}.")
        self.loss = loss
        self.mean_weight = check_number("mean_weight", mean_weight, least=0)
        self.second_moment_weight = check_number("second_moment_weight", second_moment_weight, least=0)
        if self.mean_weight == self.second_moment_weight == 0:
            raise InputError(
                "`mean_weight` or `second_moment_weight` of the loss `spread_out` must be above 0. Received: 0 for "
                "both. Use the loss inside without it."
            )
        self.aggregation = check_choice("aggregation", aggregation, AGGREGATIONS)
        self.similarity = check_choice("similarity", similarity, SIMILARITIES)
        self.wrap(loss)

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        self.loss.check(num_columns, labels)

    def check_vectors(self, dim: int, guide_dim: int | None) -> None:
        self.loss.check_vectors(dim, guide_dim)

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        costs = [self.cost(embeddings[:, column]) for column in range(embeddings.shape[1])]
        total = sum(costs[1:], costs[0])
        return self.loss.call(y_true, embeddings) + (total / len(costs) if self.aggregation == "mean" else total)

    @compact_steps()
    def cost(self, vectors: Any) -> Any:
        """The weighted cost of one column's vectors, `(batch, dim)`; 0 for a batch of one."""
        similarities = similarity_matrix(vectors, vectors, self.similarity)
        batch = ops.shape(similarities)[0]
        rows = ops.arange(batch, dtype="int32")
        is_own = ops.equal(ops.expand_dims(rows, 1), ops.expand_dims(rows, 0))
        others = ops.where(is_own, 0.0, similarities)
        count = ops.maximum(ops.cast(batch * (batch - 1), "float32"), 1.0)
        mean = ops.sum(others) / count
        second_moment = ops.sum(ops.square(others)) / count
        excess = ops.relu(second_moment - 1.0 / vectors.shape[-1])
        return self.mean_weight * ops.square(mean) + self.second_moment_weight * excess

    def get_config(self) -> dict[str, Any]:
        return {
            "loss": keras.saving.serialize_keras_object(self.loss),
            "mean_weight": self.mean_weight,
            "second_moment_weight": self.second_moment_weight,
            "aggregation": self.aggregation,
            "similarity": self.similarity,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SpreadOut":
        """The loss with the arguments that `get_config` returned."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
