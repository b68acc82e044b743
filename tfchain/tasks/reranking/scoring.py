"""Scores of pairs by a cross-encoder, and the order of a query's documents, each by its best passage."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR, PairTokenizer, join_pair
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer
from tfchain.models.weights.reranker_folder import ScoreActivation
from tfchain.tasks.reranking.passages import PassageMemory, cut_documents

LongDocuments = Literal["split", "truncate"]
PAIRS_IN_TIME = 8  # documents scored between two looks at the clock


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document of a list that was ranked.

    Args:
        index: Its place in the list given.
        score: Its score.
        text: Its text.
    """

    index: int
    score: float
    text: str


def score_pairs(
    model: TextEncoder,
    pairs: Sequence[tuple[str, str]],
    activation: ScoreActivation,
    *,
    batch_size: int = 32,
    progress: bool | None = None,
) -> np.ndarray:
    """Scores pairs.

    Args:
        model: A cross-encoder.
        pairs: Pairs of texts.
        activation: What makes a score of an output.
        batch_size: The most pairs in a step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        float32 `(pairs,)`; `(pairs, outputs)` of a model with several outputs.
    """
    texts = [join_pair(first, second) for first, second in pairs]
    outputs = model.encode(texts, prompt="", batch_size=batch_size, progress=progress)
    return activate(outputs[:, 0] if outputs.shape[1] == 1 else outputs, activation)


def activate(outputs: np.ndarray, activation: ScoreActivation) -> np.ndarray:
    """Returns the scores of outputs: their sigmoid, or themselves."""
    if activation == "identity":
        return outputs
    return (0.5 * (1 + np.tanh(0.5 * outputs))).astype("float32")  # the sigmoid, without an overflow


def score_documents(
    model: TextEncoder,
    query: str,
    documents: Sequence[str],
    activation: ScoreActivation,
    *,
    long_documents: LongDocuments = "truncate",
    within_ms: float | None = None,
    least: int = PAIRS_IN_TIME,
    batch_size: int = 32,
    memory: PassageMemory | None = None,
) -> np.ndarray:
    """Scores a query's documents in order, as many as there is time for.

    Args:
        model: A cross-encoder with one output.
        query: The query.
        documents: The documents, most promising first.
        activation: What makes a score of an output.
        long_documents: `truncate` drops the end of a document that does not fit beside the query; `split` cuts it into
            passages, and its score is the best one's. Default: `truncate`.
        within_ms: The time budget in milliseconds: once it is used up, no further document is scored. Default: no
            limit.
        least: How many documents are scored in any case. Default: 8.
        batch_size: The most pairs in a step. Default: 32.
        memory: Remembers passages from query to query. Default: they are cut for this one.

    Returns:
        float32 `(scored,)`: the scores of the first documents.
    """
    start = time.perf_counter()
    scores: list[np.ndarray] = []
    step = len(documents) if within_ms is None else PAIRS_IN_TIME
    for first in range(0, len(documents), max(step, 1)):
        if within_ms is not None and first >= least and 1000 * (time.perf_counter() - start) >= within_ms:
            break
        part = list(documents[first : first + step])
        if long_documents == "truncate":
            pairs = [(query, text) for text in part]
            scores.append(score_pairs(model, pairs, activation, batch_size=batch_size, progress=False))
        else:
            outputs = _score_passages(model, query, part, memory or PassageMemory(), batch_size)
            scores.append(activate(outputs, activation))
    return np.concatenate(scores) if scores else np.zeros(0, dtype="float32")


def _score_passages(
    model: TextEncoder, query: str, documents: Sequence[str], memory: PassageMemory, batch_size: int
) -> np.ndarray:
    """Returns the output of each document's best passage, float32 `(documents,)`."""
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, PairTokenizer)  # of a cross-encoder
    passages: Sequence[Sequence[Any]]
    if isinstance(tokenizer, PromptedPairTokenizer):
        passages = cut_documents(tokenizer, documents)
        token_ids = tokenizer([join_pair(query, passage) for cut in passages for passage in cut])
    else:
        passages = memory.find(tokenizer, documents)
        asked = tokenizer.find_ids([query.replace(PAIR, "")])[0]
        token_ids = [tokenizer.join_ids(asked, passage.tolist()) for cut in passages for passage in cut]
    with model.unchanged():
        model.notice_changes()
        outputs = model.runner(token_ids, batch_size=batch_size)[:, 0]
    best: np.ndarray = np.maximum.reduceat(outputs, np.cumsum([0, *map(len, passages[:-1])]))
    return best


def rank_documents(scores: np.ndarray, documents: Sequence[str], *, top_n: int | None = None) -> list[RankedDocument]:
    """Orders documents by their scores, best first; equal scores keep the order given.

    Args:
        scores: float32 `(scored,)`: documents beyond are left out.
        documents: The documents.
        top_n: The most documents to return. Default: all.
    """
    order = np.argsort(-scores, kind="stable")[:top_n].tolist()
    return [RankedDocument(index, float(scores[index]), documents[index]) for index in order]


def check_query(query: Any) -> str:
    """Returns a query; raises an `InputError` if it is not a text, or empty."""
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"`query` must be a text that is not empty. Received: {query!r:.80}.")
    return query


def check_documents(documents: Any) -> list[str]:
    """Returns documents as a list; raises an `InputError` if they are not texts."""
    if isinstance(documents, str):
        raise InputError(
            f"`documents` must be a list of texts. Received: the text {documents!r:.60}. Put it in a list."
        )
    return check_texts(documents)


def check_pair_list(pairs: Any) -> list[tuple[str, str]]:
    """Returns pairs as tuples; raises an `InputError` for anything else, with its place."""
    if isinstance(pairs, str | bytes):
        raise InputError(f"`pairs` must be a list of (query, document). Received: {pairs!r:.60}.")
    found = []
    for number, pair in enumerate(pairs):
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise InputError(f"pairs[{number}] must be two texts. Received: {pair!r:.80}.")
        found.append((pair[0], pair[1]))
    return found


def check_ranking_options(top_n: Any, within_ms: Any, long_documents: Any) -> None:
    """Raises an `InputError` if an option of a ranking is out of range."""
    if top_n is not None:
        check_whole_number("top_n", top_n, advice="Ask for one document or more.")
    if within_ms is not None and (
        isinstance(within_ms, bool) or not isinstance(within_ms, int | float) or within_ms <= 0
    ):
        raise InputError(f"`within_ms` must be a number of milliseconds above 0. Received: within_ms={within_ms!r}.")
    if long_documents not in get_args(LongDocuments):
        raise InputError(f"`long_documents` must be 'split' or 'truncate'. Received: {long_documents!r}.")
