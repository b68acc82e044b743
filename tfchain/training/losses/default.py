"""Makes a loss from its name, or chooses one by a dataset's columns."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.training.losses.base import PairLoss
from tfchain.training.losses.contrastive import Contrastive, OnlineContrastive
from tfchain.training.losses.cosent import AnglE, CoSENT
from tfchain.training.losses.cosine_mse import CosineMSE
from tfchain.training.losses.distillation import KLDivergence, MarginMSE
from tfchain.training.losses.embed_distill import EmbedDistill
from tfchain.training.losses.guided import GuidedInBatchSoftmax
from tfchain.training.losses.in_batch import InBatchSoftmax
from tfchain.training.losses.label_checks import to_table
from tfchain.training.losses.matryoshka import Matryoshka
from tfchain.training.losses.score_distill import ScoreDistill
from tfchain.training.losses.simcse import SimCSE
from tfchain.training.losses.spread_out import SpreadOut
from tfchain.training.losses.triplet import Triplet

LOSSES: dict[str, type[PairLoss]] = {
    "in_batch_softmax": InBatchSoftmax,
    "guided_in_batch_softmax": GuidedInBatchSoftmax,
    "triplet": Triplet,
    "contrastive": Contrastive,
    "online_contrastive": OnlineContrastive,
    "cosent": CoSENT,
    "angle": AnglE,
    "cosine_mse": CosineMSE,
    "margin_mse": MarginMSE,
    "kl_divergence": KLDivergence,
    "embed_distill": EmbedDistill,
    "score_distill": ScoreDistill,
    "simcse": SimCSE,
    "matryoshka": Matryoshka,
    "spread_out": SpreadOut,
}
WRAPPERS: tuple[type[PairLoss], ...] = (Matryoshka, SpreadOut)  # losses around another `loss`


def get_loss(name_or_loss: str | PairLoss | Mapping[str, Any]) -> PairLoss:
    """Makes a loss from its name, or from a mapping as in a configuration file.

    Args:
        name_or_loss: A name of `LOSSES`; or `{"name": …, argument: value, …}`, in which the `loss` of `matryoshka`
            and of `spread_out` is again a name or a mapping; or a loss, which is returned unchanged.

    Raises:
        InputError: if a name or an argument is unknown, or an argument is missing or out of range.

    Example:
        >>> get_loss("triplet").margin
        5.0
        >>> get_loss({"name": "matryoshka", "loss": {"name": "cosent", "scale": 10}, "dims": [64, 32]}).loss.scale
        10.0
    """
    if isinstance(name_or_loss, PairLoss):
        return name_or_loss
    if isinstance(name_or_loss, str):
        name_or_loss = {"name": name_or_loss}
    if not isinstance(name_or_loss, Mapping) or "name" not in name_or_loss:
        raise InputError(
            "A loss is given by its name, by a mapping with `name` and its arguments, or as a PairLoss. "
            f"Received: {name_or_loss!r}."
        )
    arguments = dict(name_or_loss)
    name = arguments.pop("name")
    if not isinstance(name, str) or name not in LOSSES:
        raise InputError(f"There is no loss {name!r}. Expected one of: {', '.join(LOSSES)}.")
    if LOSSES[name] in WRAPPERS and "loss" in arguments:
        arguments["loss"] = get_loss(arguments["loss"])
    signature = inspect.signature(LOSSES[name])
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise InputError(
            f"The loss `{name}` takes the arguments {', '.join(signature.parameters) or 'none'}. "
            f"Received: {', '.join(arguments) or 'none'} ({error})."
        ) from error
    return LOSSES[name](**arguments)


def default_loss(num_columns: int, labels: np.ndarray | None) -> PairLoss:
    """The loss that sentence-transformers' loss overview advises for a dataset's columns.

    | columns of text | labels of a row | loss |
    |---|---|---|
    | 1 | none | `simcse` |
    | 2 or more | none, or all of them 1 | `in_batch_softmax` |
    | 2 | 1 or 0 | `online_contrastive` |
    | 2 | another number | `cosent` |
    | 3 or more | a number for each document but the first | `margin_mse` |
    | 3 or more | a number for each document | `kl_divergence` |

    Args:
        num_columns: Columns of text, the query included.
        labels: `(rows, k)` or `(rows,)`, or None if the dataset has none.

    Raises:
        InputError: if no loss takes these columns and labels, or a label is not a finite number.

    Example:
        >>> default_loss(2, None).name
        'in_batch_softmax'
        >>> default_loss(2, np.array([[0.9], [0.2]])).name
        'cosent'
    """
    if num_columns < 1:
        raise InputError(f"A dataset needs at least one column of text. Found {num_columns}.")
    if labels is None:
        return SimCSE() if num_columns == 1 else InBatchSoftmax()
    table = to_table("default_loss", labels)
    width = table.shape[1]
    if num_columns >= 2 and width == 1 and np.all(table == 1):
        return InBatchSoftmax()
    if num_columns == 2 and width == 1:
        return OnlineContrastive() if np.all((table == 0) | (table == 1)) else CoSENT()
    if num_columns > 2 and width == num_columns - 2:
        return MarginMSE()
    if num_columns > 2 and width == num_columns - 1:
        return KLDivergence()
    raise InputError(
        f"No loss takes {num_columns} columns of text with {width} numbers a row. Expected 1 column without labels; 2 "
        "columns with one number or none; or a query and two or more documents, with a number for each document, for "
        "each but the first, or none."
    )
