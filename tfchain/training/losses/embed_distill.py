"""Embedding distillation: trains vectors to match the teacher's."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import normalize

DISTANCES = ("cosine", "l2", "mse")
Target = Literal["own", "first"]
TARGETS = get_args(Target)
LEAST_SQUARE = 1e-24  # the root's gradient is infinite at 0


@keras.saving.register_keras_serializable("tfchain")
class EmbedDistill(PairLoss):
    """The distance of each text's vector from a teacher's vector of the same text, averaged over the columns.

    Columns: any number, plain texts are enough; no labels, but the teacher's embeddings of all columns, which `fit`
    computes with the teacher given as `guide=`. The vectors must be as wide as the teacher's.

    Which sibling: use this loss to make a small model from a large one, as `optimization.recipes.Distill` does, because
    it learns from any text. `margin_mse` and `kl_divergence` learn a teacher's scores instead, and suit teachers of
    other widths or without vectors (cross-encoders).

    Paper: Kim et al. 2023, EmbedDistill (https://arxiv.org/abs/2301.12005); with `target="first"` Reimers and Gurevych
    2020 (https://arxiv.org/abs/2004.09813).

    Args:
        distance: `cosine` (1 minus the cosine), `l2` (the paper's; Euclidean) or `mse` (mean squared difference).
            Default: `cosine`.
        target: `own`: each column learns the teacher's vector of itself; `first`: all columns learn the teacher's
            vector of the first column, for example for a sentence and its translation. Default: `own`.

    Raises:
        InputError: if a value is not one of these. When called: if the vectors are not as wide as the teacher's.
    """

    min_columns = 1
    needs_guide = True

    def __init__(self, distance: Literal["cosine", "l2", "mse"] = "cosine", target: Target = "own") -> None:
        super().__init__("embed_distill")
        self.distance = check_choice("distance", distance, DISTANCES)
        self.target = check_choice("target", target, TARGETS)
        self.guide_columns = 1 if target == "first" else None

    def check_vectors(self, dim: int, guide_dim: int | None) -> None:
        super().check_vectors(dim, guide_dim)
        if dim != guide_dim:
            raise InputError(
                f"The loss `{self.name}` needs vectors as wide as the teacher's. Received: {dim} and {guide_dim} (the "
                "teacher's). Give the model a Dense head of that width, or learn scores with `margin_mse` or "
                "`kl_divergence`."
            )

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        vectors = ops.cast(y_pred, "float32")  # (batch, columns, dim)
        teacher = ops.stop_gradient(self.take(y_true, "guide"))
        self.check_vectors(vectors.shape[-1], teacher.shape[-1])
        if self.target == "first":
            teacher = teacher[:, :1]
        if self.distance == "cosine":
            distances = 1 - ops.sum(normalize(vectors) * normalize(teacher), axis=-1)  # (batch, columns)
        elif self.distance == "l2":
            squares = ops.sum(ops.square(vectors - teacher), axis=-1)
            distances = ops.sqrt(ops.maximum(squares, LEAST_SQUARE))
        else:
            distances = ops.mean(ops.square(vectors - teacher), axis=-1)
        return ops.mean(distances, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"distance": self.distance, "target": self.target}
