"""Splits interactions into those to train on and those to predict: by time, or each user's last one."""

from typing import Any, NamedTuple

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.files.values import to_plain
from tfchain.data.interactions.columns import to_seconds
from tfchain.data.interactions.interactions import Interactions


class Split(NamedTuple):
    """Interactions to train on, and those that are held out; both have all users and items."""

    train: Interactions
    held_out: Interactions


def leave_last_out(interactions: Interactions, *, least: int = 2) -> Split:
    """Holds out the last interaction of each user.

    Split the training part again for a validation set: then a test set holds each user's last interaction, the
    validation set the last but one.

    Args:
        interactions: The interactions.
        least: Users with fewer interactions keep all of theirs for training. Default: 2.

    Raises:
        InputError: if no user has that many.
    """
    check_whole_number("least", least, least=2)
    counts = np.diff(interactions.starts)
    last = interactions.starts[1:][counts >= least] - 1
    mask = np.zeros(len(interactions), dtype=bool)
    mask[last] = True
    if not mask.any():
        raise InputError(
            f"`least` must be at most the interactions of some user, {int(counts.max(initial=0))}. Received: {least}."
        )
    return Split(interactions.select(~mask), interactions.select(mask))


def split_by_time(interactions: Interactions, *, share: float | None = None, at: Any = None) -> Split:
    """Holds out what came last of all: what a model that is trained at some moment has to predict.

    Args:
        interactions: The interactions, with times.
        share: The share of the interactions to hold out, in (0, 1).
        at: The moment from which on interactions are held out, instead of a share: seconds since 1970, or in what unit
            the times are; a date; or ISO 8601 text.

    Raises:
        InputError: if there are no times, not exactly one of the arguments is given, or a side would be empty.
    """
    times = interactions.times
    if times is None:
        raise InputError("A split by time needs times. Received: interactions without. Use leave_last_out.")
    if (share is None) == (at is None):
        raise InputError(f"Give one of `share` and `at`. Received: share={share!r}, at={at!r}.")
    if share is not None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise InputError(f"`share` must be above 0 and below 1. Received: share={share!r}. 0.1 is usual.")
        at = float(np.quantile(times, 1 - share))
    try:
        at = to_seconds(to_plain(at))
    except (TypeError, ValueError):
        raise InputError(
            f"`at` must be seconds since 1970, a date, or ISO 8601 text. Received: at={at!r:.60}."
        ) from None
    mask = times >= at
    if mask.all() or not mask.any():
        raise InputError(
            f"Both sides of a split must have interactions. Received: at={at}, of times from {times.min()} to "
            f"{times.max()}."
        )
    return Split(interactions.select(~mask), interactions.select(mask))
