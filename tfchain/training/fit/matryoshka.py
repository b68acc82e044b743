"""What a training tells a model of the shorter lengths to which its vectors may be cut."""

import logging
from collections.abc import Sequence

from tfchain.models.text_encoder import TextEncoder
from tfchain.training.losses import EmbedDistill, Matryoshka, PairLoss, SpreadOut

logger = logging.getLogger(__name__)


def note_matryoshka_dims(text_encoder: TextEncoder, losses: Sequence[PairLoss], guide: TextEncoder | None) -> None:
    """Sets the lengths that a training has trained; those of an earlier training do not outlive it.

    A loss that copies the vectors of a teacher copies their shorter forms, too.

    Args:
        text_encoder: The model, trained.
        losses: The loss of each dataset.
        guide: The teacher, or None.
    """
    trained: set[int] = set()
    for loss in losses:
        while isinstance(loss, SpreadOut):  # it may stand around a Matryoshka loss
            loss = loss.loss
        if isinstance(loss, Matryoshka):
            trained.update(loss.dims)
        elif isinstance(loss, EmbedDistill) and guide is not None:
            trained.update(guide.matryoshka_dims)
    dims = tuple(sorted(dim for dim in trained if dim < text_encoder.embedding_dim))
    lost = sorted(set(text_encoder.matryoshka_dims) - set(dims))
    if lost:
        logger.warning(
            "This training did not train the vectors cut to %s, as the model's before did: it does not offer these "
            "lengths any more. A `matryoshka` loss with these `dims` keeps them.",
            ", ".join(map(str, lost)),
        )
    text_encoder.matryoshka_dims = dims
