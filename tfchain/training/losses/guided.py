"""In-batch softmax with a guide model that finds the false negatives (GISTEmbed)."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import LEFT_OUT, own_document, similarity_matrix, split_columns

MARGIN_STRATEGIES = ("absolute", "relative")


@keras.saving.register_keras_serializable("tfchain")
class GuidedInBatchSoftmax(PairLoss):
    """In-batch softmax in which a guide model's similarities leave out false negatives.

    Columns: query, positive, and any number of hard negatives (sentence-transformers takes one); no labels, but the
    guide's embeddings of all columns. A text is left out of a query's softmax if its similarity, according to the
    guide, is above that of the query and its positive, minus the margin. Besides the documents, the other queries are
    negatives of the query, and the other positives are negatives of the positive. A text is never its own negative,
    even if the guide finds the query and its positive identical.

    Which sibling: `in_batch_softmax` needs no guide and is faster; use it if rows are about different things. If the
    guide is much better than the model, `kl_divergence` or `margin_mse` learn its scores directly.

    Paper: Solatorio 2024, GISTEmbed (https://arxiv.org/abs/2402.16829).

    Args:
        temperature: Divisor of the cosine similarities, above 0. Default: 0.01.
        margin_strategy: `absolute`: left out above the positive's similarity minus `margin`; `relative`: above it
            minus `margin` times its absolute value. Default: `absolute`.
        margin: Larger leaves out more. Default: 0.
        contrast_queries: Whether other queries are negatives (`contrast_anchors` in sentence-transformers).
            Default: True, as in the paper.
        contrast_positives: Whether other positives are the positive's negatives. Default: True, as in the paper; False
            may be better for search.

    Raises:
        InputError: if a value is out of range.
    """

    needs_guide = True
    contrasts_rows = True

    def __init__(
        self,
        temperature: float = 0.01,
        *,
        margin_strategy: Literal["absolute", "relative"] = "absolute",
        margin: float = 0.0,
        contrast_queries: bool = True,
        contrast_positives: bool = True,
    ) -> None:
        super().__init__("guided_in_batch_softmax")
        self.temperature = check_number("temperature", temperature, above=0)
        self.margin_strategy = check_choice("margin_strategy", margin_strategy, MARGIN_STRATEGIES)
        self.margin = check_number("margin", margin)
        self.contrast_queries = bool(contrast_queries)
        self.contrast_positives = bool(contrast_positives)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        queries, documents = split_columns(ops.cast(y_pred, "float32"))
        guide_queries, guide_documents = split_columns(self.take(y_true, "guide"))
        num_queries, num_documents = ops.shape(queries)[0], ops.shape(documents)[0]
        own = own_document(num_queries, num_documents)  # (batch, documents)
        same = own[:, :num_queries]  # (batch, batch)
        masked = self.take(y_true, "masked") > 0.5 if "masked" in y_true else ops.zeros_like(own)
        masked = ops.logical_and(masked, ops.logical_not(own))

        guided = similarity_matrix(guide_queries, guide_documents, "cosine")
        threshold = self.threshold(ops.sum(ops.where(own, guided, 0.0), axis=1, keepdims=True))  # (batch, 1)
        similarities = similarity_matrix(queries, documents, "cosine")
        positives = ops.sum(ops.where(own, similarities, 0.0), axis=1) / self.temperature
        left_out = ops.logical_or(masked, ops.logical_and(guided > threshold, ops.logical_not(own)))
        parts = [ops.where(left_out, LEFT_OUT, similarities / self.temperature)]

        # Rows that share a relevant document are about the same thing: do not push their texts apart.
        apart = ops.logical_or(same, masked[:, :num_queries])
        contrasted = [(queries, guide_queries)] if self.contrast_queries else []
        if self.contrast_positives:
            contrasted.append((documents[:num_queries], guide_documents[:num_queries]))
        for vectors, guide_vectors in contrasted:
            left_out = ops.logical_or(apart, similarity_matrix(guide_vectors, guide_vectors, "cosine") > threshold)
            logits = similarity_matrix(vectors, vectors, "cosine") / self.temperature
            parts.append(ops.where(left_out, LEFT_OUT, logits))
        return ops.logsumexp(ops.concatenate(parts, axis=1), axis=1) - positives

    def threshold(self, positives: Any) -> Any:
        """The guide's similarity above which a text is left out.

        Args:
            positives: The guide's similarities of the queries and their positives, `(batch, 1)`.

        Returns:
            `(batch, 1)`.
        """
        if self.margin_strategy == "absolute":
            return positives - self.margin
        return positives - ops.abs(positives) * self.margin

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "margin_strategy": self.margin_strategy,
            "margin": self.margin,
            "contrast_queries": self.contrast_queries,
            "contrast_positives": self.contrast_positives,
        }
