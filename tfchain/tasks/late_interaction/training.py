"""Makes the rows that a model of late interaction is trained on, and chooses the loss."""

import logging
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.reranking.ranked_lists import RankedLists
from tfchain.training.fit.options import FitOptions
from tfchain.training.losses.late_interaction import IN_BATCH, LateInteraction

logger = logging.getLogger(__name__)


def make_training_rows(model: TextEncoder, lists: RankedLists, options: FitOptions) -> tuple[Pairs, LateInteraction]:
    """Returns the rows, a column of queries and one for each place in a list, and their loss.

    A shorter list is filled with empty documents, whose labels say that there is none; without labels with its own
    first document, which is no negative of its query.

    Args:
        model: The text encoder of late interaction.
        lists: The queries with their documents.
        options: The options of the training; their loss is used, if there is one.

    Raises:
        InputError: if an option or the loss does not suit late interaction or the rows.
    """
    if options.mining is not None:
        raise InputError(
            "`mining` finds negatives by one vector a text, and late interaction has one a token. Received: a Mining. "
            "Mine with a search chain first: mine_negatives(chain.text_encoder, pairs, mining), and pass the result.",
            argument="mining",
        )
    table = lists.to_table()
    loss = make_loss(model, _choose(options, lists))
    columns = (
        list(lists.queries),
        *(
            [
                documents[place] if place < len(documents) else documents[0] if loss.inner is None else ""
                for documents in lists.documents
            ]
            for place in range(lists.longest)
        ),
    )
    if loss.inner is None and (table[:, 0] <= 0).any():
        raise InputError(
            f"The loss `{IN_BATCH}` takes each row's first document for the one that answers. Received: rows whose "
            "first label is not above 0. Put such a document first, or use loss='listwise_softmax'."
        )
    loss.check(len(columns), None if loss.inner is None else table)
    return Pairs(columns, labels=None if loss.inner is None else table), loss


def make_loss(model: TextEncoder, choice: Any) -> LateInteraction:
    """Returns the loss for a model: the name of one, a dict of `name` and its arguments, or a `LateInteraction`."""
    if isinstance(choice, LateInteraction):
        return choice
    assert model.config is not None  # of late interaction
    values = {"name": choice} if isinstance(choice, str) else choice
    if not isinstance(values, Mapping) or "name" not in values:
        raise InputError(
            f"`loss` must be the name of a reranker's loss or {IN_BATCH!r}, or a LateInteraction. "
            f"Received: loss={choice!r:.100}."
        )
    scale: dict[str, Any] = {"scale": values["scale"]} if values["name"] == IN_BATCH and "scale" in values else {}
    inner = values["name"] if values["name"] == IN_BATCH else dict(values)
    return LateInteraction(model.config.vector_dim, inner, query_vectors=model.query_tokenizer.max_length, **scale)


def _choose(options: FitOptions, lists: RankedLists) -> Any:
    """Returns the loss as given; else the batch's negatives for rows with one answer, first, and lists for others."""
    if options.loss is not None:
        return options.loss
    has_labels = any(label not in (0, 1) for labels in lists.labels for label in labels)
    is_plain = not has_labels and all(labels[0] == 1 and sum(labels) == 1 for labels in lists.labels)
    name = IN_BATCH if is_plain else "binary_cross_entropy" if lists.longest == 1 else "list_net"
    logger.info("The lists have up to %d documents: the loss is %s.", lists.longest, name)
    return name
