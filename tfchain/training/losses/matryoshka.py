"""Matryoshka: any loss at several widths at once, so that the first dimensions of a vector can be used on their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.training.losses.arguments import check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import normalize


@keras.saving.register_keras_serializable("tfchain")
class Matryoshka(PairLoss):
    """The weighted sum of a loss over the embeddings cut to each width and scaled to length 1.

    Columns and labels: those of the loss inside. A guide's embeddings are not cut.

    When: to store vectors shorter than the model makes them. Include the full width in `dims`, or it is not trained.
    A loss that needs the vectors' length (`margin_mse` or `kl_divergence` with `dot` and a teacher of wide scores) is
    not suitable, because cut vectors have length 1.

    Paper: Kusupati et al. 2022 (https://arxiv.org/abs/2205.13147).

    Args:
        loss: The loss inside.
        dims: Widths, each at least 1 and at most the model's, none twice: `(384, 192, 96, 48)`.
        weights: A weight above 0 for each width. Default: all 1.

    Raises:
        InputError: if `loss` is not a loss, or dims or weights are empty, out of range or not equally many. When
            called: if a width is above the embeddings' own.

    Example:
        >>> from tfchain.training.losses import InBatchSoftmax
        >>> loss = Matryoshka(InBatchSoftmax(), dims=(384, 192, 96), weights=(1.0, 0.5, 0.25))
        >>> loss.labels, loss.min_columns
        ('none', 2)
    """

    def __init__(self, loss: PairLoss, dims: Sequence[int], weights: Sequence[float] | None = None) -> None:
        super().__init__("matryoshka")
        if not isinstance(loss, PairLoss):
            raise InputError(f"`loss` must be a loss of tfchain, such as InBatchSoftmax(). Received: loss={loss!r}.")
        if not isinstance(dims, list | tuple) or not dims:
            raise InputError(f"`dims` must be a list of at least one width. Received: dims={dims!r}.")
        self.loss = loss
        self.dims = tuple(check_whole_number("dims", dim) for dim in dims)
        if len(set(self.dims)) < len(self.dims):
            raise InputError(f"`dims` must not have a width twice. Received: dims={list(self.dims)}.")
        weights = [1.0] * len(self.dims) if weights is None else weights
        self.weights = tuple(check_number("weights", weight, above=0) for weight in weights)
        if len(self.weights) != len(self.dims):
            raise InputError(
                f"`weights` must have one for each of the {len(self.dims)} widths. Received: weights={list(weights)}."
            )
        self.wrap(loss)

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        self.loss.check(num_columns, labels)

    def check_vectors(self, dim: int, guide_dim: int | None) -> None:
        self.check_width(dim)
        self.loss.check_vectors(min(self.dims), guide_dim)

    def check_width(self, dim: int) -> None:
        """Raises an InputError if a width is above the embeddings' own."""
        if max(self.dims) > dim:
            raise InputError(
                f"`dims` of the loss `{self.name}` must be at most the embeddings' width of {dim}. "
                f"Received: dims={list(self.dims)}. Leave out the wider ones."
            )

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        embeddings = ops.cast(y_pred, "float32")
        self.check_width(embeddings.shape[-1])
        return sum(
            weight * self.loss.call(y_true, normalize(embeddings[..., :dim]))
            for dim, weight in zip(self.dims, self.weights, strict=True)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "loss": keras.saving.serialize_keras_object(self.loss),
            "dims": list(self.dims),
            "weights": list(self.weights),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Matryoshka":
        """The loss with the arguments that `get_config` returned."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
