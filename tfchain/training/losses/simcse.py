"""SimCSE: a text is its own positive under another dropout mask, so that plain texts are enough to learn from."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import to_scale
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.in_batch import in_batch_losses
from tfchain.training.losses.similarity import similarity_matrix, split_columns


@keras.saving.register_keras_serializable("tfchain")
class SimCSE(PairLoss):
    """In-batch softmax of a text with itself: encoded twice with different dropout, against the batch's other texts.

    Columns: one, the text; no labels. The trainer encodes it twice, so that the loss is called with two columns. It
    needs an encoder with dropout above 0: without it, both vectors are the same and there is little to learn.

    Which sibling: `in_batch_softmax` as soon as there are pairs, if only of titles and texts; it is the usual choice
    for search.

    Paper: Gao, Yao and Chen 2021 (https://arxiv.org/abs/2104.08821), the unsupervised form.

    Args:
        scale: Factor of the cosine similarities, above 0. Default: 20, the paper's temperature of 0.05.
        temperature: The inverse of `scale`, to give instead of `scale`. Default: None.

    Raises:
        InputError: if a value is not above 0, or the two contradict each other.
    """

    min_columns = 1
    max_columns = 1
    contrasts_rows = True
    needs_copies = True

    def __init__(self, scale: float = 20.0, temperature: float | None = None) -> None:
        super().__init__("simcse")
        self.scale = to_scale(scale, temperature)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        first, second = split_columns(ops.cast(y_pred, "float32"))
        logits = self.scale * similarity_matrix(first, second, "cosine")  # (batch, batch)
        return in_batch_losses(logits, self.take(y_true, "masked") if "masked" in y_true else None)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}
