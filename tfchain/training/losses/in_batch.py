"""In-batch softmax (InfoNCE, multiple negatives ranking): the other rows' documents are the negatives."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from tfchain.core.errors import InputError
from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.training.losses.arguments import check_choice, check_number, to_scale
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.similarity import LEFT_OUT, SIMILARITIES, own_document, similarity_matrix, split_columns

Direction = Literal["query_to_document", "document_to_query", "query_to_query", "document_to_document"]
Hardness = Literal["none", "in_batch_negatives", "hard_negatives", "all_negatives"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
WORDS_OF_DIRECTIONS = ("query_to_document", "both", "all")
HARDNESS: tuple[Hardness, ...] = get_args(Hardness)


@keras.saving.register_keras_serializable("tfchain")
class InBatchSoftmax(PairLoss):
    """Cross-entropy of finding a query's own document among all documents of the batch. The first choice for search.

    Columns: query, positive, and any number of hard negatives; no labels. Other rows' positives and all hard negatives
    are the query's negatives, so a larger batch teaches more.

    Which sibling: `guided_in_batch_softmax` if many other rows' documents would suit the query too, and a good model
    can say which; `kl_divergence` or `margin_mse` if a teacher scored each document; `triplet` only if batches must be
    tiny; `online_contrastive` if pairs have labels 1 and 0. `spread_out` around it keeps vectors from crowding.

    Papers: van den Oord, Li and Vinyals 2018 (https://arxiv.org/abs/1807.03748), Henderson et al. 2017
    (https://arxiv.org/abs/1705.00652); in both directions Günther et al. 2023 (https://arxiv.org/abs/2310.19923); in
    all four Li et al. 2023, GTE (https://arxiv.org/abs/2308.03281); hardness Lan et al. 2025, LLaVE
    (https://arxiv.org/abs/2503.04812, equation 5), of hard negatives alone Schechter Vera et al. 2025, EmbeddingGemma
    (https://arxiv.org/abs/2509.20354).

    Args:
        scale: Factor of the similarities, above 0. The inverse of the temperature. 10 to 100 are usual with the cosine;
            give 1 with the dot product. Default: 20.
        temperature: The inverse of `scale`, to give instead of `scale`. Default: None.
        directions: `query_to_document`; `both`: the mean with the cross-entropy of finding a positive's own query
            among all queries, for texts of one kind or for searching both ways; `all`: GTE's, one softmax in which
            the positive's other queries, the query's other queries and the positive's other documents are negatives
            too, which teaches more where rows have few negatives. Or a list of those of the four directions that are
            to share the softmax, `query_to_document` among them. Default: `query_to_document`.
        similarity: `cosine` or `dot`. Default: `cosine`.
        hardness: Which negatives weigh more the more similar they are to the query: `none`; `in_batch_negatives`, the
            documents of other rows; `hard_negatives`, the row's own; `all_negatives`. To a negative's logit comes
            `hardness_strength` times its similarity, through which no gradient flows. Default: `none`.
        hardness_strength: At least 0; 9 in Lan et al., 5 in EmbeddingGemma. Default: 5.

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
        directions: Literal["query_to_document", "both", "all"] | Sequence[Direction] = "query_to_document",
        similarity: Literal["cosine", "dot"] = "cosine",
        hardness: Hardness = "none",
        hardness_strength: float = 5.0,
    ) -> None:
        super().__init__("in_batch_softmax")
        self.scale = to_scale(scale, temperature)
        self.directions = _check_directions(directions)
        self.similarity = check_choice("similarity", similarity, SIMILARITIES)
        self.hardness = check_choice("hardness", hardness, HARDNESS)
        self.hardness_strength = check_number("hardness_strength", hardness_strength, least=0)

    @compact_steps()
    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        queries, documents = split_columns(ops.cast(y_pred, "float32"))
        similarities = similarity_matrix(queries, documents, self.similarity)  # (batch, documents)
        masked = self.take(y_true, "masked") if "masked" in y_true else None
        logits = self.scale * similarities
        more = {}
        if self.hardness != "none":
            more["penalties"] = self.hardness_strength * _of_negatives(ops.stop_gradient(similarities), self.hardness)
        joined = DIRECTIONS if self.directions == "all" else self.directions
        if isinstance(joined, str):
            return in_batch_losses(logits, masked, directions=joined, **more)
        for name, vectors, others in (
            ("query_to_query", queries, queries),
            ("document_to_document", documents[: ops.shape(queries)[0]], documents),
        ):
            if name in joined:
                more[name] = self.scale * similarity_matrix(vectors, others, self.similarity)
        return joint_losses(logits, masked, backward="document_to_query" in joined, **more)

    def get_config(self) -> dict[str, Any]:
        directions = self.directions if isinstance(self.directions, str) else list(self.directions)
        config = {"scale": self.scale, "directions": directions, "similarity": self.similarity}
        if self.hardness != "none":  # a checkpoint of a training without it stays the same training
            config |= {"hardness": self.hardness, "hardness_strength": self.hardness_strength}
        return config


def in_batch_losses(
    logits: Any, masked: Any | None, *, directions: str = "query_to_document", penalties: Any | None = None
) -> Any:
    """Cross-entropies of the queries' own positives.

    Args:
        logits: Scaled similarities of queries and documents, `(batch, documents)`; document i is query i's positive.
        masked: `(batch, documents)`, 1 where a document is left out, or None. Own positives never are.
        directions: `query_to_document` or `both`.
        penalties: Added to the queries' logits, `(batch, documents)`, 0 for own positives. Default: nothing.

    Returns:
        `(batch,)`.
    """
    num_queries = ops.shape(logits)[0]
    own = own_document(num_queries, ops.shape(logits)[1])
    positives = ops.sum(ops.where(own, logits, 0.0), axis=1)
    if masked is not None:
        logits = ops.where(ops.logical_and(masked > 0.5, ops.logical_not(own)), LEFT_OUT, logits)
    normalizers = ops.logsumexp(logits if penalties is None else logits + penalties, axis=1)
    if directions == "both":
        # A positive that is a false negative of a query makes that query a false negative of the positive.
        normalizers = 0.5 * (normalizers + ops.logsumexp(logits[:, :num_queries], axis=0))
    return normalizers - positives


def joint_losses(
    logits: Any,
    masked: Any | None,
    *,
    backward: bool,
    query_to_query: Any | None = None,
    document_to_document: Any | None = None,
    penalties: Any | None = None,
) -> Any:
    """Cross-entropies of the queries' own positives in one softmax over several directions.

    Of two rows that share a relevant document, neither the queries nor the positives are pushed apart; nor are a row's
    positive and its own hard negatives, which are the query's negatives.

    Args:
        logits: Scaled similarities of queries and documents, `(batch, documents)`; document i is query i's positive.
        masked: `(batch, documents)`, 1 where a document is left out, or None. Own positives never are.
        backward: Whether the positive's other queries are negatives. As in GTE and in sentence-transformers, the
            positive's own query is among them: the pair counts in the sum once more.
        query_to_query: Scaled similarities of the queries, `(batch, batch)`. Default: they are no negatives.
        document_to_document: Scaled similarities of positives and documents, `(batch, documents)`. Default: the
            positive's other documents are no negatives.
        penalties: Added to the queries' logits, `(batch, documents)`, 0 for own positives. Default: nothing.

    Returns:
        `(batch,)`.
    """
    num_queries, num_documents = ops.shape(logits)[0], ops.shape(logits)[1]
    own = own_document(num_queries, num_documents)
    same = own[:, :num_queries]  # (batch, batch)
    left_out = ops.zeros_like(own) if masked is None else ops.logical_and(masked > 0.5, ops.logical_not(own))
    positives = ops.sum(ops.where(own, logits, 0.0), axis=1)
    logits = ops.where(left_out, LEFT_OUT, logits)
    parts = [logits if penalties is None else logits + penalties]
    if backward:
        parts.append(ops.transpose(logits[:, :num_queries]))
    shared = ops.logical_or(left_out[:, :num_queries], ops.transpose(left_out[:, :num_queries]))
    shared = ops.logical_or(shared, same)
    if query_to_query is not None:
        parts.append(ops.where(shared, LEFT_OUT, query_to_query))
    if document_to_document is not None:
        elsewhere = ops.logical_or(left_out, _own_row(num_queries, num_documents))[:, num_queries:]
        apart = ops.concatenate([shared, elsewhere], axis=1)
        parts.append(ops.where(apart, LEFT_OUT, document_to_document))
    return ops.logsumexp(ops.concatenate(parts, axis=1), axis=1) - positives


def _check_directions(directions: Any) -> str | tuple[str, ...]:
    if isinstance(directions, str):
        return check_choice("directions", directions, WORDS_OF_DIRECTIONS)
    listed = tuple(directions) if isinstance(directions, list | tuple) else ()
    if "query_to_document" not in listed or set(listed) - set(DIRECTIONS) or len(set(listed)) < len(listed):
        raise InputError(
            f"`directions` must be one of {', '.join(WORDS_OF_DIRECTIONS)}; or a list of {', '.join(DIRECTIONS)}, "
            "each once and query_to_document, which has the positives, among them. "
            f"Received: directions={directions!r}."
        )
    return tuple(name for name in DIRECTIONS if name in listed)


def _own_row(num_queries: Any, num_documents: Any) -> Any:
    """True where a document, positive or hard negative, is of the query's row; bool `(num_queries, num_documents)`."""
    rows = ops.expand_dims(ops.arange(num_queries, dtype="int32"), 1)
    return ops.equal(rows, ops.expand_dims(ops.arange(num_documents, dtype="int32") % num_queries, 0))


def _of_negatives(similarities: Any, hardness: str) -> Any:
    """The similarities `(batch, documents)` of the negatives that `hardness` names, and 0 elsewhere."""
    num_queries, num_documents = ops.shape(similarities)[0], ops.shape(similarities)[1]
    own = own_document(num_queries, num_documents)
    own_row = _own_row(num_queries, num_documents)
    if hardness == "in_batch_negatives":
        chosen = ops.logical_not(own_row)
    elif hardness == "hard_negatives":
        chosen = ops.logical_and(own_row, ops.logical_not(own))
    else:
        chosen = ops.logical_not(own)
    return ops.where(chosen, similarities, 0.0)
