"""Interactions in memory: which user took which item, in order, with the tables that describe both."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfchain.data.interactions.tables import Table


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of users with items, sorted by user and, of each user, by time.

    Args:
        users: Who: the users, with what is known of them.
        items: What: the items, with what is known of them; also those that nobody took.
        user_rows: The user of each interaction, a row of `users`, int32 `(interactions,)`, ascending.
        item_rows: The item of each, a row of `items`, int32 `(interactions,)`.
        times: When, seconds since 1970, float64 `(interactions,)`; None if the rows' own order is all that is known.
    """

    users: Table
    items: Table
    user_rows: np.ndarray
    item_rows: np.ndarray
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.user_rows)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each user's interactions begin, and the end, int64 `(users + 1,)`."""
        return np.searchsorted(self.user_rows, np.arange(len(self.users) + 1))

    def of_user(self, row: int) -> np.ndarray:
        """Returns the items of a user, in the order of time, int32."""
        return self.item_rows[self.starts[row] : self.starts[row + 1]]

    @cached_property
    def popularity(self) -> np.ndarray:
        """How many interactions each item has, int64 `(items,)`."""
        return np.bincount(self.item_rows, minlength=len(self.items))

    def select(self, mask: np.ndarray) -> "Interactions":
        """Returns the interactions where a mask is True, with the same users and items."""
        times = None if self.times is None else self.times[mask]
        return dataclasses.replace(self, user_rows=self.user_rows[mask], item_rows=self.item_rows[mask], times=times)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all of it."""
        digest = hashlib.sha256()
        for table in (self.users, self.items):
            digest.update(repr(table.to_plain()).encode("utf-8", "surrogatepass"))
        for array in (self.user_rows, self.item_rows, self.times):
            digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()


def make_interactions(
    users: Table, items: Table, rows: Sequence[tuple[int, int]], times: Sequence[float] | None
) -> Interactions:
    """Sorts interactions by user and time.

    Interactions of a user at the same moment are put in an order by a hash of their ids. Their order in a file is often
    that of the ids, which says nothing of the user, and which a model of histories would learn all the same.

    Args:
        users: The users.
        items: The items.
        rows: The row of the user and that of the item of each interaction.
        times: When; None to keep the order of the rows.
    """
    pairs = np.array(rows, dtype="int32").reshape(-1, 2)
    if times is None:
        order = np.argsort(pairs[:, 0], kind="stable")
        return Interactions(users, items, pairs[order, 0], pairs[order, 1])
    moments = np.array(times, dtype="float64")
    ties = np.array([_hash(users.ids[user], items.ids[item]) for user, item in pairs.tolist()], dtype="uint64")
    order = np.lexsort((ties, moments, pairs[:, 0]))
    return Interactions(users, items, pairs[order, 0], pairs[order, 1], moments[order])


def _hash(user: str, item: str) -> int:
    digest = hashlib.blake2b(f"{user}\0{item}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
