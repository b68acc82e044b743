"""Scores of a query's documents by late interaction, each document by its best passage."""

import time
from collections.abc import Sequence

import numpy as np

from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.late_folder import MaxSimScale
from tfchain.tasks.late_interaction.encoding import EXACT, TokenMemory, encode_documents, encode_tokens
from tfchain.tasks.late_interaction.maxsim import TokenVectors, join_vectors, max_sim, take_texts
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.reranking.scoring import PAIRS_IN_TIME, LongDocuments


def score_documents(
    model: TextEncoder,
    query: str,
    documents: Sequence[str],
    options: LateOptions = EXACT,
    *,
    long_documents: LongDocuments = "truncate",
    within_ms: float | None = None,
    least: int = PAIRS_IN_TIME,
    batch_size: int = 32,
    memory: TokenMemory | None = None,
) -> np.ndarray:
    """Scores a query's documents in order, as many as there is time for.

    Args:
        model: A text encoder of late interaction.
        query: The query.
        documents: The documents, most promising first.
        options: How a score is made, and tokens are pooled and kept. Default: all tokens, in float32.
        long_documents: `truncate` drops the end of a document that is too long; `split` cuts it into passages, and its
            score is the best one's. Default: `truncate`.
        within_ms: The time budget in milliseconds: once it is used up, no further document is scored. Default: no
            limit.
        least: How many documents are scored in any case. Default: 8.
        batch_size: The most texts in a step. Default: 32.
        memory: Remembers the vectors of documents that are split. Default: they are encoded for this query.

    Returns:
        float32 `(scored,)`: the scores of the first documents.
    """
    start = time.perf_counter()
    asked = encode_tokens(model, [query], "query").to_float()
    scores: list[np.ndarray] = []
    step = len(documents) if within_ms is None else PAIRS_IN_TIME
    for first in range(0, len(documents), max(step, 1)):
        if within_ms is not None and first >= least and 1000 * (time.perf_counter() - start) >= within_ms:
            break
        part = list(documents[first : first + step])
        if long_documents == "truncate":
            vectors = encode_tokens(model, part, "document", options=options, batch_size=batch_size)
            scores.append(max_sim(asked, vectors, options.scale))
        elif memory is None:
            vectors, firsts = encode_documents(model, part, options, batch_size=batch_size)
            scores.append(score_passages(asked, vectors, firsts, options))
        else:
            found = memory.find(model, part, options, batch_size)
            firsts = np.cumsum([0, *map(len, found)], dtype="int64")
            scores.append(score_passages(asked, join_vectors(found, asked.shape[1]), firsts, options))
    return np.concatenate(scores) if scores else np.zeros(0, dtype="float32")


def score_pairs(
    model: TextEncoder, queries: Sequence[str], documents: Sequence[str], scale: MaxSimScale, *, batch_size: int = 32
) -> np.ndarray:
    """Scores each query's own document by all their tokens, float32 `(pairs,)`.

    Args:
        model: A text encoder of late interaction.
        queries: The queries.
        documents: As many documents.
        scale: As in `max_sim`.
        batch_size: The most texts in a step. Default: 32.
    """
    asked = encode_tokens(model, queries, "query", batch_size=batch_size)
    found = encode_tokens(model, documents, "document", batch_size=batch_size)
    scores = [max_sim(asked.take(row), take_texts(found, row, row + 1), scale) for row in range(len(found))]
    return np.concatenate([np.zeros(0, "float32"), *scores])


def score_passages(query: np.ndarray, passages: TokenVectors, firsts: np.ndarray, options: LateOptions) -> np.ndarray:
    """Returns the score of each document's best passage, float32 `(documents,)`.

    Args:
        query: The vectors of the query's tokens, float32 `(tokens, dim)`.
        passages: The vectors of the passages' tokens.
        firsts: The first passage of each document, and the end.
        options: How a score is made.
    """
    best: np.ndarray = np.maximum.reduceat(max_sim(query, passages, options.scale), firsts[:-1])
    return best
