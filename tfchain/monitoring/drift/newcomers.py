"""Which items are new: those far from all of the reference, in clusters with examples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

KNOWN = 0.95  # the part of the reference's own items whose next neighbour counts as near
MOST_CLUSTERS = 8
LEAST_FOR_CLUSTERS = 4  # new items; fewer are one cluster
LEAST_CLEAR = 0.05  # silhouette below which several clusters are no clearer than one


@dataclass(frozen=True)
class Cluster:
    """New items that are alike.

    Args:
        size: How many there are.
        share: Their part of the window, from 0 to 1.
        distance: Their mean distance to the nearest item of the reference.
        examples: Different texts of it, the most typical first.
    """

    size: int
    share: float
    distance: float
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Newcomers:
    """The new items of a window.

    Args:
        share: Their part of the window; without drift about 0.05.
        near: The distance to the nearest item of the reference that 95 % of the reference's own items stay below.
        clusters: The new items, the largest cluster first.
    """

    share: float
    near: float
    clusters: tuple[Cluster, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def find_newcomers(
    vectors: np.ndarray,
    texts: Sequence[str],
    reference: np.ndarray,
    *,
    num_examples: int = 3,
    most_clusters: int = MOST_CLUSTERS,
) -> Newcomers:
    """Finds the items that are unlike anything in a reference, and puts those that are alike together.

    An item is new if its nearest neighbour in the reference is farther than that of 95 % of the reference's own items.
    New items are clustered by average linkage; the number of clusters is the one with the best silhouette (Rousseeuw
    1987), or one if none is clear.

    Args:
        vectors: The items', `(n, dim)`.
        texts: Their texts, in the same order.
        reference: The reference's vectors, `(m, dim)`, at least two.
        num_examples: The most examples of a cluster. Default: 3.
        most_clusters: The most clusters. Default: 8.
    """
    own = _distances(reference, reference)
    np.fill_diagonal(own, np.inf)
    near = float(np.quantile(own.min(axis=1), KNOWN))
    nearest = _distances(vectors, reference).min(axis=1)
    new = np.flatnonzero(nearest > near)
    between = _distances(vectors[new], vectors[new])
    clusters = []
    for members in _group(between, most_clusters):
        typical = members[np.argsort(between[np.ix_(members, members)].mean(axis=1), kind="stable")]
        examples = tuple(dict.fromkeys(texts[new[row]] for row in typical))[:num_examples]
        distance = float(nearest[new[members]].mean())
        clusters.append(Cluster(len(members), len(members) / len(vectors), distance, examples))
    clusters.sort(key=lambda cluster: -cluster.size)
    return Newcomers(len(new) / max(len(vectors), 1), near, tuple(clusters))


def _group(distances: np.ndarray, most_clusters: int) -> list[np.ndarray]:
    """Returns the rows of each cluster."""
    count = len(distances)
    if not count:
        return []
    best = np.zeros(count, int)
    if count >= LEAST_FOR_CLUSTERS:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        tree = linkage(squareform(distances, checks=False), method="average")
        clearest = LEAST_CLEAR
        for number in range(2, min(most_clusters, count - 1) + 1):
            labels = fcluster(tree, number, criterion="maxclust")
            value = silhouette(distances, labels)
            if value > clearest:
                best, clearest = labels, value
    return [np.flatnonzero(best == label) for label in np.unique(best)]


def silhouette(distances: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean silhouette of a clustering: 1 for clusters far apart, 0 for those that run into each other.

    Args:
        distances: Between the items, `(n, n)`.
        labels: The cluster of each, `(n,)`.
    """
    kinds = np.unique(labels)
    if len(kinds) < 2:
        return 0.0
    member = (labels[:, None] == kinds[None, :]).astype(float)  # (n, clusters)
    sizes = member.sum(axis=0)
    sums = distances @ member
    own = member.astype(bool)
    own_size = sizes[own.argmax(axis=1)]
    inside = sums[own] / np.maximum(own_size - 1, 1)
    outside = np.where(own, np.inf, sums / sizes).min(axis=1)
    largest = np.maximum(np.maximum(inside, outside), 1e-12)
    return float(np.where(own_size > 1, (outside - inside) / largest, 0.0).mean())


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :] - 2 * first @ second.T
    distances = np.sqrt(np.maximum(squares, 0, dtype=np.float64))
    if first is second:
        np.fill_diagonal(distances, 0)
        distances = (distances + distances.T) / 2
    return distances
