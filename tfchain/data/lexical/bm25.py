"""BM25: ranks documents by the words they share with a query, where a search needs no model."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfchain.data.lexical.terms import find_terms

QUERIES_AT_ONCE = 64


class Bm25:
    """Scores documents for queries, in Lucene's variant of BM25 (Robertson and Zaragoza 2009; Kamphuis 2020).

    A term scores `ln(1 + (N - n + 0.5) / (n + 0.5)) × f / (f + k1 (1 - b + b · length / mean length))`, where `n` of
    `N` documents have it, and it stands `f` times in the document. The weights are one sparse matrix: 12 bytes for each
    distinct term of each document.

    Args:
        documents: The documents.
        k1: How quickly further occurrences of a term count less. Default: 0.9.
        b: How much long documents are held back, from 0 to 1. Default: 0.4. Both are Anserini's values.
    """

    def __init__(self, documents: Sequence[str], *, k1: float = 0.9, b: float = 0.4) -> None:
        from scipy.sparse import csr_array

        counts, self._vocabulary = count_terms(documents)
        lengths = np.asarray(counts.sum(axis=1), np.float32)
        found = np.bincount(counts.indices, minlength=counts.shape[1])  # documents that have the term
        idf = np.log1p((len(documents) - found + 0.5) / (found + 0.5)).astype(np.float32)
        norms = k1 * (1 - b + b * lengths / max(float(lengths.mean()) if len(documents) else 1.0, 1e-9))
        of_document = np.repeat(np.arange(len(documents)), np.diff(counts.indptr))
        weights = idf[counts.indices] * counts.data / (counts.data + norms[of_document])
        self._weights = csr_array((weights, counts.indices, counts.indptr), shape=counts.shape).T.tocsr()

    def score(self, queries: Sequence[str]) -> Any:
        """Returns the scores of the documents for each query, a sparse array `(queries, documents)` without zeros."""
        from scipy.sparse import csr_array

        rows, columns = [], []
        for row, query in enumerate(queries):
            for term in find_terms(query):
                column = self._vocabulary.get(term)
                if column is not None:
                    rows.append(row)
                    columns.append(column)
        shape = (len(queries), self._weights.shape[0])
        asked = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)  # sums what stands twice
        return (asked @ self._weights).tocsr()

    def search(self, query: str, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the positions and scores of the best documents, best first; equal scores keep the documents' order.

        Documents without a term of the query score 0 and come last.
        """
        scores = self.score([query]).toarray()[0]
        top_k = min(top_k, len(scores))
        places = np.arange(len(scores))
        if 0 < top_k < len(scores):  # all that score as the last, so that the order decides
            least = -np.partition(-scores, top_k - 1)[top_k - 1]
            places = np.flatnonzero(scores >= least)
        best = places[np.argsort(-scores[places], kind="stable")][:top_k]
        return best, scores[best]

    def rank(self, queries: Sequence[str], documents: Sequence[int]) -> Iterator[int]:
        """Yields the rank of one document for each query, from 1.

        Documents that score the same share the best rank; one without a term of the query comes after all that have
        one.

        Args:
            queries: The queries.
            documents: The position of each query's document.
        """
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            scores = self.score(queries[start : start + QUERIES_AT_ONCE])
            for row, document in enumerate(documents[start : start + QUERIES_AT_ONCE]):
                part = slice(scores.indptr[row], scores.indptr[row + 1])
                own = scores.data[part][scores.indices[part] == document]
                least = float(own[0]) * (1 + 1e-6) if len(own) else 0.0  # the same score, summed in another order
                yield 1 + int((scores.data[part] > least).sum())


def count_terms(documents: Sequence[str]) -> tuple[Any, dict[str, int]]:
    """Returns how often each term stands in each document, a sparse array, and each term's column."""
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    indices: list[np.ndarray] = []
    data: list[np.ndarray] = []
    ends = [0]
    for document in documents:
        terms = np.fromiter((vocabulary.setdefault(term, len(vocabulary)) for term in find_terms(document)), np.int32)
        columns, found = np.unique(terms, return_counts=True)
        indices.append(columns)
        data.append(found.astype(np.float32))
        ends.append(ends[-1] + len(columns))
    joined = (np.concatenate(parts) if parts else np.zeros(0, kind) for parts, kind in ((data, "f4"), (indices, "i4")))
    values, places = joined
    return csr_array((values, places, np.array(ends)), shape=(len(documents), len(vocabulary))), vocabulary
