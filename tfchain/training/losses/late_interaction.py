"""The loss of late interaction: MaxSim between a query's tokens and each document's, then a loss of these scores."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.reranking import RerankingLoss, get_reranking_loss

IN_BATCH = "in_batch"
FAR = -1e9  # the similarity to what is no token, and the score of a document that does not count


@keras.saving.register_keras_serializable("tfchain")
class LateInteraction(PairLoss):
    """A loss of MaxSim scores, for encoders whose vectors are matrices of token vectors, laid out row by row.

    Columns: a query, then its documents. With `loss="in_batch"` the first one answers, the others and all other rows'
    documents do not, and the loss is the softmax's cross-entropy (as ColBERTv2 is trained beside its distillation);
    rows have no labels. With a reranker's loss, a row has a label for each document: `listwise_softmax` for documents
    that answer among others, `list_net` and `margin_distillation` for a cross-encoder's scores.

    Paper: Khattab and Zaharia 2020 (https://arxiv.org/abs/2004.12832); Santhanam et al. 2021
    (https://arxiv.org/abs/2112.01488), section 3.2.

    Args:
        dim: The width of a token's vector.
        loss: `in_batch`, or a reranker's loss, its name, or a dict of `name` and its arguments. Default: `in_batch`.
        scale: Factor of the scores in the softmax of `in_batch`, above 0. Default: 1, as in ColBERT.
        query_vectors: How many of a query's rows can have a vector. Default: all.

    Raises:
        InputError: if a value is out of range, or the loss is unknown.
    """

    min_columns = 2
    labels = "own"

    def __init__(self, dim: int, loss: Any = IN_BATCH, *, scale: float = 1.0, query_vectors: int | None = None) -> None:
        super().__init__("late_interaction")
        self.dim = int(check_number("dim", dim, least=1))
        self.inner: RerankingLoss | None = None if loss == IN_BATCH else get_reranking_loss(loss)
        self.scale = check_number("scale", scale, above=0)
        self.query_vectors = (
            None if query_vectors is None else int(check_number("query_vectors", query_vectors, least=1))
        )
        self.contrasts_rows = self.inner is None

    def check(self, num_columns: int, labels: np.ndarray | None) -> None:
        if num_columns < self.min_columns:
            raise InputError(
                f"The loss `{self.name}` takes a query and its documents. Found {num_columns} column a row. Give rows "
                "of a query and one document or more."
            )
        if self.inner is not None:
            self.inner.check(num_columns - 1, labels)
        elif labels is not None:
            raise InputError(
                f"The loss `{self.name}` with loss='in_batch' takes no labels. Found some. Use a reranker's loss for "
                "them, such as loss='list_net'."
            )

    def check_vectors(self, dim: int, guide_dim: int | None) -> None:
        if dim % self.dim:
            raise InputError(
                f"The loss `{self.name}` takes matrices of vectors of {self.dim} numbers. Received: {dim} numbers a "
                "text. Give the width of the model's token vectors."
            )

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        vectors = ops.cast(y_pred, "float32")
        rows, columns, width = ops.shape(vectors)[0], int(vectors.shape[1]), int(vectors.shape[2])
        tokens = ops.reshape(vectors, (rows, columns, width // self.dim, self.dim))
        queries = tokens[:, 0, : self.query_vectors]
        if self.inner is not None:
            scores = ops.stack([score_rows(queries, tokens[:, column]) for column in range(1, columns)], axis=1)
            return self.inner.call(y_true, ops.expand_dims(scores, 2))
        # As in `PairLoss`: the document of row j and column c is at (c - 1) * batch + j.
        scores = ops.concatenate([score_all(queries, tokens[:, column]) for column in range(1, columns)], axis=1)
        if "masked" in y_true:
            scores = ops.where(self.take(y_true, "masked") > 0, FAR, scores)
        own = ops.arange(rows)
        log_softmax = ops.log_softmax(self.scale * scores, axis=1)
        return -ops.take_along_axis(log_softmax, ops.expand_dims(own, 1), axis=1)[:, 0]

    def get_config(self) -> dict[str, Any]:
        inner = IN_BATCH if self.inner is None else {"name": self.inner.name, **self.inner.get_config()}
        return {"dim": self.dim, "loss": inner, "scale": self.scale, "query_vectors": self.query_vectors}


@compact_steps()
def score_rows(queries: Any, documents: Any) -> Any:
    """Returns MaxSim of each row's query and document: `(batch, tokens, dim)` twice → `(batch,)`."""
    similarities = ops.einsum("aqd,akd->aqk", queries, documents)
    return _add_best(similarities, ops.expand_dims(_has_token(documents), 1))


@compact_steps()
def score_all(queries: Any, documents: Any) -> Any:
    """Returns MaxSim of all queries and documents: `(batch, tokens, dim)` twice → `(batch, batch)`."""
    similarities = ops.einsum("aqd,bkd->abqk", queries, documents)
    return _add_best(similarities, ops.expand_dims(ops.expand_dims(_has_token(documents), 0), 2))


def _add_best(similarities: Any, has_token: Any) -> Any:
    """Returns the sum over the query's tokens of the best similarity; a query's row of zeros adds 0."""
    return ops.sum(ops.max(ops.where(has_token, similarities, FAR), axis=-1), axis=-1)


def _has_token(documents: Any) -> Any:
    """Returns where a row is a token's vector, and not zero: `(batch, tokens)`; a text without one keeps its rows."""
    found = ops.any(ops.not_equal(documents, 0.0), axis=-1)
    return ops.logical_or(found, ops.logical_not(ops.any(found, axis=-1, keepdims=True)))
