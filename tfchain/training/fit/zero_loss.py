"""Warns if there is nothing to learn: batches without negatives, or a loss of 0."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfchain.training.batches.layout import TrainingSet
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.losses import PairLoss
from tfchain.training.losses.false_negatives import false_negative_mask

logger = logging.getLogger(__name__)

BATCHES = 8  # batches of the first epoch to look at


def warn_without_negatives(maker: BatchMaker, losses: Sequence[PairLoss], *, mask: bool) -> bool:
    """Warns about datasets whose loss learns from a batch's other rows, if these hold no negatives.

    Looks at the first batches of the first epoch.

    Args:
        maker: Holds the tokenized datasets.
        losses: A loss for each dataset.
        mask: Whether false negatives are left out.

    Returns:
        Whether it warned.
    """
    warned = False
    for source, (training_set, loss) in enumerate(zip(maker.sets, losses, strict=True)):
        if not loss.contrasts_rows:
            continue
        batches = [rows for number, rows in maker.plan(0) if number == source][:BATCHES]
        causes = [find_cause(training_set, rows, mask=mask) for rows in batches]
        if causes and None not in causes:
            logger.warning(
                "Nothing is learned: the loss `%s` needs negatives, and the first %d batch(es) hold none: %s",
                *(loss.name, len(batches), causes[0]),
            )
            warned = True
    return warned


def find_cause(training_set: TrainingSet, rows: np.ndarray, *, mask: bool) -> str | None:
    """The reason why no row of a batch has a negative; None if a row has one."""
    keys, judged = training_set.keys[rows], training_set.judged[rows]
    num_documents = keys[:, 1:].size
    if num_documents == 1:
        return "a batch is one pair. Raise `batch_size`, give more pairs, or add hard negatives to the rows."
    if not mask:
        return None
    masked = np.array(false_negative_mask(keys, judged))
    if masked.sum() < len(rows) * (num_documents - 1):
        return None
    if len(np.unique(keys[:, 0])) == 1:
        return "all of its rows have the same query, so that no document is a negative. Mix in pairs of other queries."
    if len(np.unique(keys[:, 1:])) == 1:
        return "all of its rows have the same document. Mix in pairs of other documents."
    return (
        "every document is relevant for every query, or of the same text. Mix in other pairs, or set "
        "`mask_false_negatives=False` if the judgements are wrong."
    )


class ZeroLossWarning(keras.callbacks.Callback):
    """Warns once if the loss of the training's first epoch is exactly 0: in that case no gradient changed anything."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if epoch == 0 and (logs or {}).get("loss") == 0:
            logger.warning(
                "The loss of the first epoch is 0: nothing is learned. Losses that compare rows need two of different "
                "labels in a batch, losses of a teacher's scores two documents a row, guided losses a guide that "
                "leaves some negatives."
            )
