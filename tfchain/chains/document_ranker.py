"""`DocumentRanker`: a chain that scores documents for a query, and puts them in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.chains.base import Chain
from tfchain.core.errors import InputError
from tfchain.tasks.reranking.scoring import (
    LongDocuments,
    RankedDocument,
    check_documents,
    check_query,
    check_ranking_options,
    rank_documents,
)


class DocumentRanker(Chain):
    """What rerankers share; use a subclass: `Reranker` or `LateInteractionReranker`."""

    def score(self, query: str, documents: Sequence[str], *, long_documents: LongDocuments = "truncate") -> np.ndarray:
        """Scores documents for a query; the class says in what range.

        Args:
            query: The query.
            documents: The documents' texts.
            long_documents: `truncate` drops the end of a document that is too long; `split` cuts it into passages, and
                its score is the best one's. Default: `truncate`.

        Returns:
            float32 `(documents,)`.

        Raises:
            InputError: if a text is not a string, the query is empty, or the model cannot rank.
        """
        query, texts = check_query(query), check_documents(documents)
        check_ranking_options(None, None, long_documents)
        return self._score(query, texts, None, long_documents)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        *,
        long_documents: LongDocuments = "truncate",
        within_ms: float | None = None,
    ) -> list[RankedDocument]:
        """Orders documents by their scores for a query, best first; equal scores keep the order given.

        Args:
            query: The query.
            documents: The documents' texts.
            top_n: The most documents to return. Default: all.
            long_documents: As in `score`.
            within_ms: The time budget in milliseconds: documents that it does not reach are left out, from the end of
                the list. The first eight are scored in any case. Default: no limit.

        Returns:
            The documents with `index`, their place in the list, `score` and `text`.

        Raises:
            InputError: for `score`'s reasons, or if an option is out of range.
        """
        check_ranking_options(top_n, within_ms, long_documents)
        query, texts = check_query(query), check_documents(documents)
        return rank_documents(self._score(query, texts, within_ms, long_documents), texts, top_n=top_n)

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: the first text is the query, and the others are documents, which it orders."""
        query, *documents = texts
        if not documents:
            raise InputError("A ranking needs a query and documents. Received: one text. Give the documents after it.")
        return [{"score": found.score, "text": found.text} for found in self.rank(query, documents, top_k)]

    def _score(
        self, query: str, documents: list[str], within_ms: float | None, long_documents: LongDocuments
    ) -> np.ndarray:
        """Scores documents, float32 `(scored,)`: within a time budget the first ones, as far as it reaches."""
        raise NotImplementedError
