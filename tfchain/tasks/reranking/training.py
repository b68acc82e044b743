"""Makes the rows that a cross-encoder is trained on, and chooses the loss."""

import logging

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.reranking.ranked_lists import RankedLists
from tfchain.training.fit.options import FitOptions
from tfchain.training.losses.reranking import RerankingLoss, get_reranking_loss

logger = logging.getLogger(__name__)


def make_training_rows(model: TextEncoder, lists: RankedLists, options: FitOptions) -> tuple[Pairs, RerankingLoss]:
    """Returns the rows, a column of joined pairs for each place in a list, and their loss.

    A shorter list is filled with its query alone, whose label says that there is no document.

    Args:
        model: The cross-encoder.
        lists: The queries with their documents.
        options: The options of the training; their loss is used, if there is one.

    Raises:
        InputError: if an option or the loss does not suit a reranker or the rows.
    """
    if model.embedding_dim != 1:
        raise InputError(
            f"A reranker of one output can be trained. Received: a model of {model.embedding_dim} outputs. Train "
            "classes of pairs with a TextClassificationChain."
        )
    if options.mining is not None:
        raise InputError(
            "`mining` finds negatives with the model itself, and a reranker has no vectors. Received: a Mining. Mine "
            "with a search chain first: mine_negatives(chain.text_encoder, pairs, mining), and pass the result.",
            argument="mining",
        )
    if options.augment:
        raise InputError(
            "`augment` disturbs single texts, not pairs that are encoded together. Run the steps on the rows first.",
            argument="augment",
        )
    table = lists.to_table()
    loss = _choose(options, lists, table)
    columns = tuple(
        [
            join_pair(query, documents[place] if place < len(documents) else "")
            for query, documents in zip(lists.queries, lists.documents, strict=True)
        ]
        for place in range(lists.longest)
    )
    loss.check(len(columns), table)
    return Pairs(columns, labels=table, symmetric=True), loss


def _choose(options: FitOptions, lists: RankedLists, table: np.ndarray) -> RerankingLoss:
    """Returns the loss: as given, else cross-entropy of single pairs, and a softmax over lists."""
    if options.loss is not None:
        return get_reranking_loss(options.loss)
    is_graded = bool(((table > 0) & (table != 1)).any())
    name = "binary_cross_entropy" if lists.longest == 1 else "lambda" if is_graded else "listwise_softmax"
    logger.info("The lists have up to %d documents: the loss is %s.", lists.longest, name)
    return get_reranking_loss(name)
