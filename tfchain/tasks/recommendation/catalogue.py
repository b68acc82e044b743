"""The state of a recommendation: items with their vectors and popularity, users with what they took."""

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.filters.columns import MetadataColumns
from tfchain.core.filters.filter import FilterMasks
from tfchain.core.fingerprint import make_fingerprint
from tfchain.data.interactions.interactions import Interactions
from tfchain.data.interactions.tables import Table
from tfchain.models.indexes.exact import VectorIndex
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.titles import item_titles

NO_ITEMS = "The chain has no items yet. Call `fit`, or load a chain that was trained."


class KnownVectors:
    """The vectors of items that were computed last, with the fingerprint of their model. Threads may share it."""

    def __init__(self, fingerprint: str | None = None, vectors: np.ndarray | None = None) -> None:
        self.lock = threading.RLock()
        self.fingerprint = fingerprint
        self.vectors = vectors

    def snapshot(self) -> "KnownVectors":
        """Returns the vectors with the fingerprint that belongs to them, which do not change."""
        with self.lock:
            return KnownVectors(self.fingerprint, self.vectors)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items that can be recommended, and the users with their histories.

    It does not change: what adds and removes returns another.

    Args:
        items: The items, with what is known of them.
        users: The users, with what is known of them.
        popularity: How often each item was taken, int64 `(items,)`.
        starts: Where each user's history begins in `taken`, and the end, int64 `(users + 1,)`.
        taken: The rows of the items of all histories, each in the order of time, int32.
        known: The vectors of the items, once they have been computed. Default: none yet.
    """

    items: Table
    users: Table
    popularity: np.ndarray
    starts: np.ndarray
    taken: np.ndarray
    known: KnownVectors = field(default_factory=KnownVectors, repr=False)

    @cached_property
    def item_rows(self) -> dict[str, int]:
        """The row of each item, by its id."""
        return {id: row for row, id in enumerate(self.items.ids)}

    @cached_property
    def user_rows(self) -> dict[str, int]:
        """The row of each user, by the id."""
        return {id: row for row, id in enumerate(self.users.ids)}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of items, users and histories."""
        values = {"items": self.items.to_plain(), "users": self.users.to_plain()}
        arrays = [("popularity", self.popularity), ("starts", self.starts), ("taken", self.taken)]
        return make_fingerprint(values, arrays)

    @cached_property
    def masks(self) -> FilterMasks:
        """Which items filters on their columns let through; true and false are found as these and as text."""
        columns = {name: list(map(_to_filtered, values)) for name, values in self.items.columns.items()}
        for name, kind in self.items.kinds.items():
            if kind == "category" and set(self.items.columns[name]) <= {"True", "False", None}:
                columns[name] = [None if value is None else [value, value == "True"] for value in columns[name]]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return FilterMasks(MetadataColumns(rows or [{}] * len(self.items)))

    @cached_property
    def titles(self) -> Sequence[str]:
        """The title of each item; see `item_titles`."""
        return item_titles(self.items)

    def history(self, user: str | None) -> np.ndarray:
        """Returns the rows of the items that a user took, the last one last; none of a user who is not known."""
        row = -1 if user is None else self.user_rows.get(user, -1)
        return self.taken[:0] if row < 0 else self.taken[self.starts[row] : self.starts[row + 1]]

    def vectors(self, model: RecommendationModel) -> np.ndarray:
        """Returns the vectors of all items, float32 `(items, vector_dim)`, computed once for a model."""
        if not model.is_settled:
            return model.encode_items(model.item_inputs(self.items))
        with self.known.lock:
            if self.known.fingerprint != model.fingerprint or self.known.vectors is None:
                self.known.vectors = model.encode_items(model.item_inputs(self.items))
                self.known.fingerprint = model.fingerprint
            return self.known.vectors

    def index(self, model: RecommendationModel) -> VectorIndex:
        """Returns an exact index of the items' vectors, as the model keeps them."""
        vectors = self.vectors(model)
        index = VectorIndex(vectors.shape[1], "dot", model.vector_storage)
        index.add(vectors, [1] * len(vectors))
        return index

    def stored_vectors(self, model: RecommendationModel) -> np.ndarray:
        """Returns the items' vectors as the model keeps them, in float32 `(items, vector_dim)`."""
        if model.vector_storage.is_plain:
            return self.vectors(model)
        stored = self.index(model).stored
        return stored.values.astype("float32") if stored.scales is None else stored.values * stored.scales[:, None]

    def add(self, items: Table, model: RecommendationModel) -> "Catalogue":
        """Returns a catalogue with more items; those that are there already are replaced, and keep who took them.

        Args:
            items: The items, with the columns of those that are there.
            model: Encodes the new items, if the vectors of the others are known for it.
        """
        replaced = {self.item_rows[id]: place for place, id in enumerate(items.ids) if id in self.item_rows}
        new = [place for place, id in enumerate(items.ids) if id not in self.item_rows]
        columns = {name: list(values) for name, values in self.items.columns.items()}
        for row, place in replaced.items():
            for name, values in columns.items():
                values[row] = items.columns[name][place]
        table = dataclasses.replace(self.items, columns=columns).append(items.take(new))
        popularity = np.concatenate([self.popularity, np.zeros(len(new), "int64")])
        known, before = KnownVectors(), self.known.snapshot()
        if model.is_settled and before.vectors is not None and before.fingerprint == model.fingerprint:
            made = model.encode_items(model.item_inputs(items))
            vectors = np.concatenate([before.vectors, made[new]])
            vectors[list(replaced)] = made[list(replaced.values())]
            known = KnownVectors(model.fingerprint, vectors)
        return dataclasses.replace(self, items=table, popularity=popularity, known=known)

    def remove(self, ids: Sequence[str]) -> "Catalogue":
        """Returns a catalogue without some items; histories lose them, too.

        Raises:
            InputError: if an item is not there, or none would be left.
        """
        missing = [id for id in ids if id not in self.item_rows]
        if missing:
            raise InputError(f"`ids` must be items of the chain. Received: {missing[0]!r}, which is not one.")
        kept = np.ones(len(self.items), dtype=bool)
        kept[[self.item_rows[id] for id in ids]] = False
        if not kept.any():
            raise InputError("At least one item must be left. Received: the ids of all of them.")
        places = np.cumsum(kept) - 1
        stays = kept[self.taken]
        counts = np.add.reduceat(np.append(stays, False), self.starts[:-1]) * (np.diff(self.starts) > 0)
        before = self.known.snapshot()
        vectors = None if before.vectors is None else before.vectors[kept]
        return Catalogue(
            self.items.take(np.flatnonzero(kept).tolist()),
            self.users,
            self.popularity[kept],
            np.concatenate([[0], np.cumsum(counts)]).astype("int64"),
            places[self.taken[stays]].astype("int32"),
            KnownVectors(before.fingerprint, vectors),
        )


def _to_filtered(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def make_catalogue(interactions: Interactions) -> Catalogue:
    """Returns the catalogue of a training: its items, users and histories."""
    return Catalogue(
        interactions.items,
        interactions.users,
        interactions.popularity,
        np.asarray(interactions.starts, dtype="int64"),
        interactions.item_rows,
    )


def check_catalogue(state: Any) -> Catalogue:
    """Returns the state.

    Raises:
        InputError: if there is none yet.
    """
    if not isinstance(state, Catalogue):
        raise InputError(NO_ITEMS)
    return state
