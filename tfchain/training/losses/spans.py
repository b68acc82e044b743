"""The loss of a reader: cross-entropy of the answer's first and last token among all tokens."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.training.losses.base import PairLoss

NUM_LABELS = 3  # a row's first and last token of the answer, and its number of tokens
FAR = -1e9  # the logit of what is no token


@keras.saving.register_keras_serializable("tfchain")
class SpanLoss(PairLoss):
    """The mean of two softmax cross-entropies: of the token that starts the answer, and of the one that ends it.

    Columns: one, of joined pairs of a question and a text. Labels: the places of the first and of the last token of the
    answer in the pair, both 0 (the token before the question) where the text does not answer, and the number of tokens
    in the pair; what is behind them does not compete. Use it for models of `models.span_encoder`, whose vectors are the
    two logits of each token.

    Paper: Devlin et al. 2018 (https://arxiv.org/abs/1810.04805), section 4.2; with answers that are not there, 4.3.
    """

    min_columns = max_columns = 1
    labels = "own"

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        if num_columns != 1 or labels is None or labels.ndim != 2 or labels.shape[1] != NUM_LABELS:
            received = "no labels" if labels is None else f"labels of shape {labels.shape}"
            raise InputError(
                f"The loss `{self.name}` takes one column, and {NUM_LABELS} labels a row: the first and the last token "
                f"of the answer, and the number of tokens. Received: {num_columns} columns, {received}."
            )
        starts, ends, counts = labels.T
        if not ((starts >= 0) & (starts <= ends) & (ends < counts)).all():
            raise InputError(
                f"The loss `{self.name}` needs answers that start before they end, among the tokens. Received: others."
            )

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        logits = ops.cast(y_pred, "float32")[:, 0]  # (batch, tokens * 2)
        num_tokens = int(logits.shape[1]) // 2
        logits = ops.reshape(logits, (-1, num_tokens, 2))
        labels = self.take(y_true, "labels")
        is_token = ops.expand_dims(ops.arange(num_tokens, dtype="float32"), 0) < labels[:, 2:3]
        log_softmax = ops.log_softmax(ops.where(ops.expand_dims(is_token, -1), logits, FAR), axis=1)
        places = ops.cast(labels[:, :2], "int32")
        found = ops.stack(
            [ops.take_along_axis(log_softmax[:, :, side], places[:, side : side + 1], axis=1)[:, 0] for side in (0, 1)],
            axis=1,
        )
        return -ops.mean(found, axis=1)
