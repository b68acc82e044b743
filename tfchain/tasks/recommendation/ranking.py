"""Ranks items for users: those that a user has taken, and those that a filter leaves out, do not appear."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.interactions.tables import Table
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue

USERS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Asked:
    """Users to recommend to.

    Args:
        users: Their ids; None for someone without one.
        histories: The rows of the items that each took, the last one last.
        features: What is known of them, for users that the catalogue does not know. Default: what it knows.
    """

    users: Sequence[str | None]
    histories: Sequence[np.ndarray]
    features: Table | None = None

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, eq=False)
class Ranked:
    """What is recommended.

    Args:
        rows: The rows of the items, best first, int64 `(users, k)`; -1 where there is no item left.
        scores: Their scores, float32 `(users, k)`; minus infinity where there is none.
    """

    rows: np.ndarray
    scores: np.ndarray


def ask(catalogue: Catalogue, users: Sequence[str | None], histories: Sequence[Sequence[str]] | None = None) -> Asked:
    """Returns users with their histories.

    Args:
        catalogue: The items, and the users that are known.
        users: Ids; None for someone without one.
        histories: The ids of the items that each took, in place of what the catalogue knows; an empty one stands for
            that. Default: what the catalogue knows. Items that it does not know are left out.
    """
    given = histories if histories is not None else [()] * len(users)
    rows = [
        np.array([catalogue.item_rows[id] for id in history if id in catalogue.item_rows], dtype="int32")
        for history in given
    ]
    found = [
        row if len(history) else catalogue.history(user) for user, history, row in zip(users, given, rows, strict=True)
    ]
    return Asked(users, found)


def user_table(catalogue: Catalogue, asked: Asked) -> Table:
    """Returns what is known of users: what is given, else what the catalogue knows, else nothing."""
    if asked.features is not None:
        return asked.features
    blank = catalogue.users.append(Table([""]))
    rows = [len(catalogue.users) if user is None else catalogue.user_rows.get(user, len(catalogue.users))
            for user in asked.users]  # fmt: skip
    return blank.take(rows)


def rank_items(
    model: RecommendationModel,
    catalogue: Catalogue,
    asked: Asked,
    *,
    top_k: int,
    allowed: np.ndarray | None = None,
    exclude_seen: bool = True,
) -> Ranked:
    """Returns the best items for users; equal scores keep the order of the catalogue.

    Args:
        model: The model.
        catalogue: The items.
        asked: The users.
        top_k: The number of items; all, if there are fewer.
        allowed: Which items may appear, booleans `(items,)`. Default: all.
        exclude_seen: Whether items that a user has taken are left out: those of the history, and those that the
            catalogue knows of the user. Default: True.
    """
    stored = catalogue.stored_vectors(model)
    users = model.encode_users(stored, asked.histories, model.user_inputs(user_table(catalogue, asked)))
    top_k = min(top_k, len(catalogue.items))
    rows, scores = [], []
    for start in range(0, len(asked), USERS_AT_ONCE):
        part = users[start : start + USERS_AT_ONCE] @ stored.T  # (users, items)
        if allowed is not None:
            part[:, ~allowed] = -np.inf
        for place in range(len(part)) if exclude_seen else ():
            part[place, asked.histories[start + place]] = -np.inf
            part[place, catalogue.history(asked.users[start + place])] = -np.inf
        best = np.argsort(-part, axis=1, kind="stable")[:, :top_k]
        found = np.take_along_axis(part, best, axis=1)
        rows.append(np.where(np.isneginf(found), -1, best))
        scores.append(found)
    if not rows:
        return Ranked(np.zeros((0, top_k), "int64"), np.zeros((0, top_k), "float32"))
    return Ranked(np.concatenate(rows), np.concatenate(scores).astype("float32"))


def similar_items(
    model: RecommendationModel, catalogue: Catalogue, id: str, *, top_k: int, allowed: np.ndarray | None = None
) -> Ranked:
    """Returns the items whose vectors point most in the direction of an item's, without it: cosines.

    Args:
        model: The model.
        catalogue: The items.
        id: The item.
        top_k: The number of items.
        allowed: As in `rank_items`.

    Raises:
        InputError: if the item is not there.
    """
    row = catalogue.item_rows.get(id)
    if row is None:
        raise InputError(f"`item` must be an item of the chain. Received: {id!r}, which is not one. Add it first.")
    vectors = catalogue.stored_vectors(model)[:, : model.config.dim]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    scores = vectors @ vectors[row] / (lengths * lengths[row])
    scores[row] = -np.inf
    if allowed is not None:
        scores[~allowed] = -np.inf
    best = np.argsort(-scores, kind="stable")[: min(top_k, len(scores))]
    found: Any = scores[best]
    return Ranked(np.where(np.isneginf(found), -1, best)[None], found.astype("float32")[None])
