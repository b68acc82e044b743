"""How likely users look at each place: the position-based model, by EM, or measured with hits in random order.

The model says that a document is clicked if its place is looked at and it is relevant:
`P(click | query, document, place) = examined[place] · relevant[query, document]` (Richardson et al. 2007; Craswell et
al. 2008; the estimate by EM as in Wang et al., "Position Bias Estimation for Unbiased Learning to Rank in Personal
Search", 2018). Only documents that were shown at several places for the same query tell the two apart.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError
from tfchain.monitoring.pairs.impressions import Impression

_SMALLEST = 1e-6
_WAY_OUT = (
    "Log answers of several versions, shuffle the hits of a few queries (query attribute `randomized`), or assume "
    "propensities with --propensity power."
)


@dataclass(frozen=True)
class Counts:
    """How often pairs of query and document were shown at a place, and clicked there.

    Args:
        pairs: The queries and documents.
        pair: For each entry, the place of its pair in `pairs`, int `(entries,)`.
        place: The place in the answer, from 0, int `(entries,)`.
        shown: How often, float `(entries,)`.
        clicked: How often of that it was clicked, float `(entries,)`.
    """

    pairs: Sequence[tuple[str, str]]
    pair: np.ndarray
    place: np.ndarray
    shown: np.ndarray
    clicked: np.ndarray

    @property
    def num_places(self) -> int:
        """The number of places."""
        return int(self.place.max()) + 1 if len(self.place) else 0


def count_impressions(impressions: Sequence[Impression], *, most_places: int = 100) -> Counts:
    """Counts what was shown and clicked.

    Args:
        impressions: What users saw.
        most_places: The places after these are left out. Default: 100.
    """
    shown: Counter[tuple[str, str, int]] = Counter()
    clicked: Counter[tuple[str, str, int]] = Counter()
    for impression in impressions:
        for place, hit_id in enumerate(impression.hit_ids[:most_places]):
            shown[impression.query, hit_id, place] += 1
            clicked[impression.query, hit_id, place] += place in impression.clicks
    pairs = list(dict.fromkeys((query, hit_id) for query, hit_id, _ in shown))
    number = {pair: place for place, pair in enumerate(pairs)}
    return Counts(
        pairs,
        np.array([number[query, hit_id] for query, hit_id, _ in shown], np.int64),
        np.array([place for _, _, place in shown], np.int64),
        np.array(list(shown.values()), np.float64),
        np.array([clicked[key] for key in shown], np.float64),
    )


def estimate_by_em(counts: Counts, *, most_rounds: int = 500, tolerance: float = 1e-5) -> np.ndarray:
    """Estimates the propensities from what was logged.

    Args:
        counts: What was shown and clicked.
        most_rounds: The most rounds of EM. Default: 500.
        tolerance: The change of the largest propensity at which it ends. Default: 1e-5.

    Returns:
        The chance that each place is looked at, relative to the first, float `(places,)`.

    Raises:
        InputError: if the log cannot tell places from documents.
    """
    check_tells_places_apart(counts)
    examined = 1 / np.arange(1, counts.num_places + 1, dtype=np.float64)
    relevant = np.full(len(counts.pairs), 0.5)
    missed = counts.shown - counts.clicked
    shown_at = np.bincount(counts.place, counts.shown)
    shown_of = np.bincount(counts.pair, counts.shown)
    for _ in range(most_rounds):
        looked, worth = examined[counts.place], relevant[counts.pair]
        silent = np.maximum(1 - looked * worth, _SMALLEST)  # the chance of no click
        seen = np.bincount(counts.place, counts.clicked + missed * looked * (1 - worth) / silent) / shown_at
        liked = np.bincount(counts.pair, counts.clicked + missed * worth * (1 - looked) / silent) / shown_of
        change = np.abs(seen / max(seen[0], _SMALLEST) - examined / max(examined[0], _SMALLEST)).max()
        examined, relevant = seen, liked
        if change < tolerance:
            break
    return relative(examined)


def estimate_from_randomization(impressions: Sequence[Impression], *, most_places: int = 100) -> np.ndarray:
    """Estimates the propensities from hits in random order: there, places differ in clicks by their place alone.

    Args:
        impressions: What users saw; those that were not randomized are not looked at.
        most_places: The places after these are left out. Default: 100.

    Returns:
        As `estimate_by_em`.

    Raises:
        InputError: if no answer was randomized, or its first place was never clicked.
    """
    counts = count_impressions([one for one in impressions if one.is_randomized], most_places=most_places)
    clicked = np.bincount(counts.place, counts.clicked) if len(counts.place) else np.zeros(0)
    if not clicked.size or not clicked[0]:
        raise InputError(
            "No clicks at the first place of answers in random order were found, whose query attribute `randomized` "
            "is true. Shuffle the hits of a share of the queries, or use --propensity em."
        )
    return relative(clicked / np.bincount(counts.place, counts.shown))


def assume_power(num_places: int, eta: float) -> np.ndarray:
    """Returns propensities of `(1 / place) ** eta`, for logs that cannot tell.

    Args:
        num_places: The number of places.
        eta: 0 for no bias; 1 is usual for lists of links.
    """
    places: np.ndarray = np.arange(1, num_places + 1, dtype=np.float64)
    return places**-eta


def relative(examined: np.ndarray) -> np.ndarray:
    """Returns propensities relative to the first place, at most 1 and above 0."""
    return np.clip(examined / max(float(examined[0]), _SMALLEST), 1e-3, 1.0)


def check_tells_places_apart(counts: Counts) -> None:
    """Raises an InputError if some places cannot be compared, as no document was shown at both.

    Places are joined if a document was shown at both for the same query; all must be joined with the first, directly or
    by way of others.
    """
    if not len(counts.place):
        raise InputError("The log has no answers with hits and events. Turn on feedback, and wait for clicks.")
    parent = list(range(counts.num_places))

    def find(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[int, int] = {}
    for pair, place in zip(counts.pair.tolist(), counts.place.tolist(), strict=True):
        parent[find(place)] = find(first.setdefault(pair, place))
    alone = [place + 1 for place in range(counts.num_places) if find(place) != find(0)]
    if alone:
        named = ", ".join(map(str, alone[:5]))
        raise InputError(
            f"The log cannot tell how much places matter: no document was shown at place {named} and, for the same "
            f"query, at another one that leads to the first. {_WAY_OUT}"
        )
