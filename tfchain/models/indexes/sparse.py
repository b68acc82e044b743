"""Sparse vectors, a weight for some words of a vocabulary, and exact search among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError


@dataclass(frozen=True)
class SparseVectors:
    """Sparse vectors of texts.

    Args:
        ids: The tokens of all texts in a row, ascending within a text, int32 `(entries,)`.
        weights: Their weights, float32 `(entries,)`.
        starts: Where each text starts, and the end, int64 `(texts + 1,)`.
        size: The number of tokens in the vocabulary.
    """

    ids: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    size: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, text: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the tokens of a text and their weights."""
        part = slice(self.starts[text], self.starts[text + 1])
        return self.ids[part], self.weights[part]

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> "SparseVectors":
        """Puts vectors, each as tokens and weights, together."""
        counts = [len(ids) for ids, _ in rows]
        ids = np.concatenate([np.zeros(0, "int32"), *(ids for ids, _ in rows)]).astype("int32")
        weights = np.concatenate([np.zeros(0, "float32"), *(weights for _, weights in rows)]).astype("float32")
        return cls(ids, weights, np.cumsum([0, *counts], dtype="int64"), size)

    def to_matrix(self) -> Any:
        """Returns SciPy's `csr_array` `(texts, vocabulary)`."""
        from scipy.sparse import csr_array

        return csr_array((self.weights, self.ids, self.starts), shape=(len(self), self.size))


class SparseIndex:
    """Documents' sparse vectors by token, searched exactly: a score is the product of two vectors.

    Args:
        documents: The vectors of documents.
    """

    def __init__(self, documents: SparseVectors) -> None:
        self._size = documents.size
        self._columns = documents.to_matrix().tocsc()  # for each token, the documents that have it
        self._num_documents = len(documents)

    def __len__(self) -> int:
        return self._num_documents

    def score(self, ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Returns the score of every document for one query, float32 `(documents,)`.

        Args:
            ids: The query's tokens.
            weights: Their weights.
        """
        scores = np.zeros(self._num_documents, dtype="float32")
        bounds, rows, values = self._columns.indptr, self._columns.indices, self._columns.data
        for number, weight in zip(ids.tolist(), weights.tolist(), strict=True):
            part = slice(bounds[number], bounds[number + 1])
            scores[rows[part]] += np.float32(weight) * values[part]  # a document is once in a column
        return scores

    def search(self, queries: SparseVectors, top_k: int = 10) -> list[list[tuple[int, float]]]:
        """Returns the best documents of each query as (row, score), best first; equal scores keep their order.

        Args:
            queries: The vectors of queries.
            top_k: The most documents; those that share no token with the query are left out. Default: 10.

        Raises:
            InputError: if the vectors are of another vocabulary, or `top_k` is less than 1.
        """
        check_whole_number("top_k", top_k, advice="Ask for one hit or more.")
        if queries.size != self._size:
            raise InputError(
                f"`queries` must have the documents' vocabulary of {self._size} tokens. Received: {queries.size}. "
                "Encode both with one model."
            )
        found = []
        for number in range(len(queries)):
            scores = self.score(*queries[number])
            rows = np.flatnonzero(scores)
            order = rows[np.argsort(-scores[rows], kind="stable")[:top_k]]
            found.append([(int(row), float(scores[row])) for row in order])
        return found
