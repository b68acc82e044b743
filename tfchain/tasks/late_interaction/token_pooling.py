"""Fewer vectors for a document's tokens: clusters of similar tokens, each replaced by its mean."""

import numpy as np

from tfchain.tasks.late_interaction.maxsim import TokenVectors

PROTECTED = 1  # the first token, [CLS], keeps its vector


def pool_tokens(vectors: np.ndarray, factor: int) -> np.ndarray:
    """Returns a vector for each `factor` tokens: the means of Ward's clusters by cosine distance, of length one.

    Source: Clavié, Chaffin and Adams 2024, Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance
    Impact via Token Pooling (https://arxiv.org/abs/2409.14683).

    Args:
        vectors: The vectors of a document's tokens, each of length one, float32 `(tokens, dim)`.
        factor: How many tokens have one vector; 1 for all their own.

    Returns:
        float32 `(1 + (tokens - 1) // factor, dim)`, at least two vectors for two tokens or more. The first token's is
        first and unchanged.
    """
    kept, pooled = vectors[:PROTECTED], vectors[PROTECTED:]
    count = max(len(pooled) // factor, 1)
    if count >= len(pooled):
        return vectors
    labels = _cluster(pooled, count)
    sums = np.zeros((labels.max() + 1, vectors.shape[1]), dtype="float32")
    np.add.at(sums, labels, pooled)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.concatenate([kept, sums / np.maximum(lengths, 1e-12)]).astype("float32")


def pool_texts(texts: TokenVectors, factor: int) -> TokenVectors:
    """Pools the tokens of each text; see `pool_tokens`."""
    if factor == 1:
        return texts
    pooled = [pool_tokens(texts.take(row), factor) for row in range(len(texts))]
    values = np.concatenate([np.zeros((0, texts.values.shape[1]), "float32"), *pooled])
    return TokenVectors(values, np.cumsum([0, *map(len, pooled)], dtype="int64"))


def _cluster(vectors: np.ndarray, count: int) -> np.ndarray:
    """Returns the cluster of each vector, from 0 on, in the order of their numbers in SciPy."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distances = np.clip(1 - vectors @ vectors.T, 0, 2)
    tree = linkage(squareform(distances, checks=False), method="ward")
    found: np.ndarray = np.unique(fcluster(tree, t=count, criterion="maxclust"), return_inverse=True)[1]
    return found
