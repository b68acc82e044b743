"""Weights to begin with, in closed form: items as the factors of a linear autoencoder, features as what predicts them.

EASE (Steck 2019, Embarrassingly Shallow Autoencoders for Sparse Data, https://arxiv.org/abs/1905.03375) scores an item
by a weighted sum over the items of a history: with the singular values s and vectors V of the interactions, by
V diag(s² / (s² + ridge)) Vᵀ, each item divided by 1 minus its own diagonal entry. In the first `dim` dimensions that is
a product of vectors, which are what two towers multiply.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.data.interactions.interactions import Interactions
from tfchain.models.recommendation.features import Feature, input_name

MOST_COLUMNS = 4096  # of all features together, that are regressed on
FEATURE_RIDGE = 10.0
SMALLEST = 1e-6  # of what is divided by: with a tiny ridge, rounding makes it 0 or less


def factorize(interactions: Interactions, dim: int, ridge: float, *, seed: int = 0) -> np.ndarray:
    """Returns a vector for each item, float32 `(items, dim)`: zero for one without interactions.

    Args:
        interactions: Who took what.
        dim: The width; beyond the smaller of users and items, zeros follow.
        ridge: The regularization.
        seed: The seed of the randomized decomposition. Default: 0.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    shape = (len(interactions.users), len(interactions.items))
    ones = np.ones(len(interactions), dtype="float32")
    matrix = csr_matrix((ones, (interactions.user_rows, interactions.item_rows)), shape=shape)
    count = min(dim, *shape)
    _, values, directions = randomized_svd(matrix, count, n_iter=8, random_state=seed)
    kept = values**2 / (values**2 + ridge)
    own = np.minimum((directions**2 * kept[:, None]).sum(axis=0), 1 - SMALLEST)  # (items,)
    vectors = np.zeros((shape[1], dim), dtype="float32")
    vectors[:, :count] = (directions * np.sqrt(kept)[:, None] / np.sqrt(1 - own)[None]).T
    taken = interactions.popularity > 0
    # Of length 1 on average, so that the steps of an optimizer suit them.
    length = float(np.sqrt(np.square(vectors[taken]).sum(axis=1).mean())) or 1.0
    return vectors / np.float32(length)


def regress(
    vectors: np.ndarray,
    inputs: Mapping[str, np.ndarray],
    features: Sequence[Feature],
    weights: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Returns for each feature the matrix that together predict items' vectors best, and the predictions.

    Args:
        vectors: What to predict, float32 `(items, dim)`.
        inputs: What the tower reads of the items.
        features: Its features.
        weights: How much each item counts, `(items,)`.

    Returns:
        Input → `(columns, dim)`: a row for each category (the first is that of unknown ones), number or dimension of a
        text; and float32 `(items, dim)`. None if there are too many columns.
    """
    parts = {
        input_name(place): _to_columns(feature, inputs[input_name(place)]) for place, feature in enumerate(features)
    }
    if sum(part.shape[1] for part in parts.values()) > MOST_COLUMNS:
        return None
    design = np.concatenate(list(parts.values()), axis=1).astype("float64")
    weighted = design * weights[:, None]
    gram = design.T @ weighted + FEATURE_RIDGE * np.eye(design.shape[1])
    found = np.linalg.solve(gram, weighted.T @ vectors).astype("float32")
    matrices, start = {}, 0
    for name, part in parts.items():
        matrices[name] = found[start : start + part.shape[1]]
        start += part.shape[1]
    return matrices, (design @ found).astype("float32")


def _to_columns(feature: Feature, values: np.ndarray) -> np.ndarray:
    """A feature as numbers that a matrix multiplies, as the tower's layer of it does."""
    if feature.kind not in ("category", "categories"):
        return values
    table = values[:, None] if values.ndim == 1 else values
    columns = np.zeros((len(values), len(feature.values) + 1), dtype="float32")
    for place in range(table.shape[1]):
        rows = np.arange(len(values)) if feature.kind == "category" else np.flatnonzero(table[:, place])
        columns[rows, table[rows, place]] += 1
    return columns / np.maximum(columns.sum(axis=1, keepdims=True), 1) if feature.kind == "categories" else columns
