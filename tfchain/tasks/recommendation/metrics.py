"""How good recommendations are: hit rate, nDCG, MRR and recall of held-out items, coverage, popularity."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError

METRICS = ("ndcg@10", "hit_rate@10", "mrr@10", "recall@10", "coverage@10", "popularity@10")
NAME = re.compile(r"(ndcg|hit_rate|mrr|recall|coverage|popularity)@([1-9][0-9]*)")


def parse_metric(name: str) -> tuple[str, int]:
    """Splits a name into the metric and its cutoff.

    Raises:
        InputError: if there is no such metric.
    """
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InputError(
            "A metric of recommendations must be one of ndcg, hit_rate, mrr, recall, coverage, popularity, each with "
            f"`@k`. Received: {name!r}. Write `ndcg@10`."
        )
    return match[1], int(match[2])


def check_metrics(metrics: Sequence[str]) -> Sequence[str]:
    """Raises an InputError if the names are not a list of at least one metric."""
    if isinstance(metrics, str) or not metrics:
        raise InputError(f"`metrics` must be a list of names. Received: metrics={metrics!r}. Write ['ndcg@10'].")
    for name in metrics:
        parse_metric(name)
    return metrics


def largest_cutoff(metrics: Sequence[str]) -> int:
    """Returns how many recommendations the metrics look at."""
    return max(parse_metric(name)[1] for name in metrics)


def user_values(name: str, ranked: np.ndarray, wanted: Sequence[Any]) -> np.ndarray:
    """Returns a metric of each user, float64 `(users,)`; not of `coverage` and `popularity`, which are of all users.

    With `k` recommendations: `hit_rate` is 1 if one of them is wanted; `ndcg` is the sum of 1 / log2(rank + 1) over
    those that are, divided by what the best order would have; `mrr` is 1 / the rank of the first; `recall` is the share
    of the wanted items that are among them, also if they are more than `k`.

    Args:
        name: The metric.
        ranked: The rows of the recommended items, best first, int `(users, at least k)`; -1 where there is none.
        wanted: The rows of the held-out items of each user, at least one.
    """
    kind, cutoff = parse_metric(name)
    values = np.zeros(len(ranked))
    for user, (row, right) in enumerate(zip(ranked[:, :cutoff].tolist(), wanted, strict=True)):
        asked = set(np.asarray(right).tolist())
        places = [place for place, item in enumerate(row) if item in asked]
        values[user] = MEASURES[kind](places, cutoff, len(asked))
    return values


def measure(
    metrics: Sequence[str], ranked: np.ndarray, wanted: Sequence[Any], popularity: np.ndarray
) -> dict[str, float]:
    """Returns the metrics of recommendations: means over users.

    `coverage@k` is the share of all items that are recommended to someone. `popularity@k` is the mean, over all
    recommendations, of the share of items that are less popular than the recommended one (equal ones count half): 0.5
    for items drawn at random, near 1 where only the most popular are recommended.

    Args:
        metrics: The names.
        ranked: As in `user_values`.
        wanted: As in `user_values`.
        popularity: How often each item was taken before, int64 `(items,)`.
    """
    found = {}
    for name in metrics:
        kind, cutoff = parse_metric(name)
        if kind not in ("coverage", "popularity"):
            found[name] = float(user_values(name, ranked, wanted).mean())
            continue
        shown = ranked[:, :cutoff]
        shown = shown[shown >= 0]
        if kind == "coverage":
            found[name] = len(np.unique(shown)) / len(popularity)
        else:
            found[name] = float(rank_popularity(popularity)[shown].mean()) if len(shown) else 0.0
    return found


def rank_popularity(popularity: np.ndarray) -> np.ndarray:
    """Returns the share of items that are less popular than each, equal ones by half, float64 `(items,)`."""
    ordered = np.sort(popularity)
    below = np.searchsorted(ordered, popularity, side="left")
    up_to = np.searchsorted(ordered, popularity, side="right")
    shares: np.ndarray = (below + up_to) / (2 * len(popularity))
    return shares


def _ndcg(places: Sequence[int], cutoff: int, wanted: int) -> float:
    best = sum(1 / np.log2(place + 2) for place in range(min(cutoff, wanted)))
    return float(sum(1 / np.log2(place + 2) for place in places) / best)


MEASURES: dict[str, Callable[[Sequence[int], int, int], float]] = {
    "hit_rate": lambda places, cutoff, wanted: float(bool(places)),
    "mrr": lambda places, cutoff, wanted: 1 / (places[0] + 1) if places else 0.0,
    "recall": lambda places, cutoff, wanted: len(places) / wanted,
    "ndcg": _ndcg,
}
