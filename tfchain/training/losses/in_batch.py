"""In-batch softmax (InfoNCE, multiple negatives ranking): the other rows' documents are the negatives."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from tfchain.training.losses.arguments import check_choice, to_scale
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import LEFT_OUT, SIMILARITIES, own_document, similarity_matrix, split_columns

DIRECTIONS = ("query_to_document", "both")


@keras.saving.register_keras_serializable("tfchain")
class InBatchSoftmax(PairLoss):
    """Cross-entropy of finding a query's own document among all documents of the batch. The first choice for search.

    Columns: query, positive, and any number of hard negatives; no labels. Other rows' positives and all hard negatives
    are the query's negatives, so a larger batch teaches more.

    Which sibling: `guided_in_batch_softmax` if many other rows' documents would suit the query too, and a good model
    can say which; `kl_divergence` or `margin_mse` if a teacher scored each document; `triplet` only if batches must be
    tiny; `online_contrastive` if pairs have labels 1 and 0.

    Papers: van den Oord, Li and Vinyals 2018 (https://arxiv.org/abs/1807.03748), Henderson et al. 2017
    (https://arxiv.org/abs/1705.00652); in both directions Günther et al. 2023 (https://arxiv.org/abs/2310.19923).

    Args:
        scale: Factor of the similarities, above 0. The inverse of the temperature. 10 to 100 are usual with the cosine;
            give 1 with the dot product. Default: 20.
        temperature: The inverse of `scale`, to give instead of `scale`. Default: None.
        directions: `query_to_document`, or `both`: the mean with the cross-entropy of finding a positive's own query
            among all queries, for texts of one kind or for searching both ways. Default: `query_to_document`.
        similarity: `cosine` or `dot`. Default: `cosine`.

    Raises:
        InputError: if a value is out of range, or scale and temperature contradict each other.

    Example:
        >>> import numpy as np
        >>> loss = InBatchSoftmax(temperature=0.5)
        >>> embeddings = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]], "float32")
        >>> round(float(loss({}, embeddings)), 4)  # log(1 + exp(-2))
        0.1269
    """

    contrasts_rows = True

    def __init__(
        self,
        scale: float = 20.0,
        temperature: float | None = None,
        *,
        directions: Literal["query_to_document", "both"] = "query_to_document",
        similarity: Literal["cosine", "dot"] = "cosine",
    ) -> None:
        super().__init__("in_batch_softmax")
        self.scale = to_scale(scale, temperature)
        self.directions = check_choice("directions", directions, DIRECTIONS)
        self.similarity = check_choice("similarity", similarity, SIMILARITIES)

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        queries, documents = split_columns(ops.cast(y_pred, "float32"))
        logits = self.scale * similarity_matrix(queries, documents, self.similarity)  # (batch, documents)
        masked = self.take(y_true, "masked") if "masked" in y_true else None
        return in_batch_losses(logits, masked, directions=self.directions)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "directions": self.directions, "similarity": self.similarity}


def in_batch_losses(logits: Any, masked: Any | None, *, directions: str = "query_to_document") -> Any:
    """Cross-entropies of the queries' own positives.

    Args:
        logits: Scaled similarities of queries and documents, `(batch, documents)`; document i is query i's positive.
        masked: `(batch, documents)`, 1 where a document is left out, or None. Own positives never are.
        directions: One of `DIRECTIONS`.

    Returns:
        `(batch,)`.
    """
    num_queries = ops.shape(logits)[0]
    own = own_document(num_queries, ops.shape(logits)[1])
    positives = ops.sum(ops.where(own, logits, 0.0), axis=1)
    if masked is not None:
        logits = ops.where(ops.logical_and(masked > 0.5, ops.logical_not(own)), LEFT_OUT, logits)
    normalizers = ops.logsumexp(logits, axis=1)
    if directions == "both":
        # A positive that is a false negative of a query makes that query a false negative of the positive.
        normalizers = 0.5 * (normalizers + ops.logsumexp(logits[:, :num_queries], axis=0))
    return normalizers - positives
