"""Exact nearest-neighbour search over vectors in memory; a document is scored by the best of its vectors."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

Similarity = Literal["cosine", "dot"]
SCORES_IN_BLOCK = 16_000_000  # float32 scores held at once: 64 MB


class VectorIndex:
    """Vectors of documents, searched by comparing the query with each.

    Exact search is right up to some hundred thousand vectors; it finds every hit, needs no training, and costs one
    product. Documents keep the order in which they were added, and equal scores are ranked in that order.

    Args:
        dim: Width of the vectors.
        similarity: `cosine` compares directions, `dot` takes lengths into account; use what the model was trained
            with. Default: `cosine`.
    """

    def __init__(self, dim: int, similarity: Similarity = "cosine") -> None:
        if similarity not in ("cosine", "dot"):
            raise InputError(f"`similarity` must be 'cosine' or 'dot'. Received: similarity={similarity!r}.")
        self.dim = dim
        self.similarity = similarity
        self._buffer = np.empty((0, dim), dtype="float32")
        self._num_vectors = 0
        self._start_list: list[int] = []  # where each document's vectors begin
        self._starts: np.ndarray | None = None  # the same, made when it is asked for

    def __len__(self) -> int:
        return len(self._start_list)

    @property
    def vectors(self) -> np.ndarray:
        """All vectors, `(vectors, dim)`; scaled to length one where the similarity is cosine."""
        return self._buffer[: self._num_vectors]

    @property
    def starts(self) -> np.ndarray:
        """Row of the first vector of each document, int64 `(documents,)`."""
        if self._starts is None:
            self._starts = np.array(self._start_list, dtype=np.int64)
        return self._starts

    def add(self, vectors: np.ndarray, counts: Sequence[int]) -> None:
        """Adds documents behind those that are there.

        Args:
            vectors: float32 `(vectors, dim)`, the documents' vectors one after the other.
            counts: How many of them belong to each document; at least one each.

        Raises:
            InputError: if the shapes do not fit, or a value is not finite.
        """
        if (
            vectors.ndim != 2
            or vectors.shape[1] != self.dim
            or sum(counts) != len(vectors)
            or min(counts, default=1) < 1
        ):
            raise InputError(
                f"`vectors` must be (vectors, {self.dim}) with `counts` that add up to their number. "
                f"Received: shape {vectors.shape}, {len(counts)} counts with the sum {sum(counts)}."
            )
        if not np.isfinite(vectors).all():
            raise InputError("`vectors` must be finite. Received: NaN or infinity. Check the model's weights.")
        end = self._num_vectors + len(vectors)
        if end > len(self._buffer):  # half as much again, so that adding one by one stays linear
            larger = np.empty((max(end, len(self._buffer) * 3 // 2), self.dim), dtype="float32")
            larger[: self._num_vectors] = self.vectors
            self._buffer = larger
        self._buffer[self._num_vectors : end] = self.prepare(vectors)
        begins = np.cumsum([self._num_vectors, *counts[:-1]])[: len(counts)]
        self._start_list.extend(begins.tolist())
        self._starts = None
        self._num_vectors = end

    def remove(self, rows: Sequence[int]) -> None:
        """Removes documents by their place in the order of adding; those behind move up."""
        kept = np.ones(len(self), dtype=bool)
        kept[list(rows)] = False
        counts = self.counts
        self._buffer = self.vectors[np.repeat(kept, counts)]
        self._num_vectors = len(self._buffer)
        self._start_list = np.concatenate([[0], np.cumsum(counts[kept])])[:-1].astype(int).tolist()
        self._starts = None

    @property
    def counts(self) -> np.ndarray:
        """Number of vectors of each document, int64 `(documents,)`."""
        return np.diff(self.starts, append=self._num_vectors)

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """What is stored of vectors: length one for cosine (a zero vector stays zero), unchanged for dot."""
        vectors = np.asarray(vectors, dtype="float32")
        if self.similarity == "dot":
            return vectors
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    def search(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the best documents of each query.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: How many documents; all, if there are fewer.

        Returns:
            `(rows, scores)`, int64 and float32 `(queries, min(top_k, documents))`, best first.

        Raises:
            InputError: if `top_k` is less than 1.
        """
        top_k = min(check_whole_number("top_k", top_k, advice="Ask for one hit or more."), len(self))
        rows = np.empty((len(queries), top_k), dtype=np.int64)
        scores = np.empty((len(queries), top_k), dtype="float32")
        if not top_k:
            return rows, scores
        queries = self.prepare(queries)
        step = max(1, SCORES_IN_BLOCK // max(1, self._num_vectors))
        for begin in range(0, len(queries), step):
            block = queries[begin : begin + step] @ self.vectors.T  # (queries, vectors)
            if self._num_vectors != len(self):
                block = np.maximum.reduceat(block, self.starts, axis=1)  # (queries, documents)
            for number, one in enumerate(block, start=begin):
                rows[number] = _best(one, top_k)
                scores[number] = one[rows[number]]
        return rows, scores


def _best(scores: np.ndarray, top_k: int) -> np.ndarray:
    """Rows of the largest scores, largest first, earlier rows first among equals."""
    if top_k < len(scores):
        least = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        candidates = np.flatnonzero(scores >= least)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")[:top_k]]
