"""Reranking after a search: a cross-encoder, or late interaction, puts the best documents of a search in order."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.types import Document, Hit, SearchResult
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.models.weights.reranker_folder import ScoreActivation
from tfchain.tasks.late_interaction import scoring as late_scoring
from tfchain.tasks.late_interaction.encoding import TokenMemory
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.reranking.passages import PassageMemory
from tfchain.tasks.reranking.scoring import PAIRS_IN_TIME, score_documents

SAMPLE_PAIRS = 64
STAND_IN_WORDS = 8  # of a document, in place of a query


@dataclass(frozen=True)
class SecondStage:
    """A reranker as a search uses it.

    Scores are the sigmoid of a cross-encoder's output, from 0 to 1, whatever activation it has by itself; those of late
    interaction are MaxSim. A long document scores by its best passage.

    Args:
        model: The cross-encoder, of one output; or the text encoder of late interaction.
        top: How many documents of the search are reranked, at least as many as are asked for.
        within_ms: The time budget in milliseconds for a query; see `score_documents`. Default: no limit.
        sample: Joined pairs, or documents, to calibrate an int8 version with. Default: none.
        late: How late interaction makes its scores, and keeps the documents' vectors. Default: it is a cross-encoder.
        memory: Remembers documents' passages from query to query. Default: a new one.
        token_memory: Remembers documents' token vectors. Default: a new one.
    """

    model: TextEncoder
    top: int
    within_ms: float | None = None
    sample: Sequence[str] = ()
    late: LateOptions | None = None
    memory: PassageMemory = field(default_factory=PassageMemory, compare=False, repr=False)
    token_memory: TokenMemory = field(default_factory=TokenMemory, compare=False, repr=False)

    def score(
        self,
        query: str,
        texts: Sequence[str],
        activation: ScoreActivation,
        *,
        within_ms: float | None = None,
        least: int = PAIRS_IN_TIME,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Returns the scores of documents, each by its best passage; see `score_documents`.

        Args:
            query: The query.
            texts: The documents' texts.
            activation: What makes a score of a cross-encoder's output.
            within_ms: The time budget. Default: no limit.
            least: How many documents are scored in any case. Default: 8.
            batch_size: The most texts or pairs in a step. Default: 32.
        """
        timed = {"within_ms": within_ms, "least": least, "batch_size": batch_size}
        if self.late is not None:
            options: dict[str, Any] = {"long_documents": "split", "memory": self.token_memory, **timed}
            return late_scoring.score_documents(self.model, query, texts, self.late, **options)
        options = {"long_documents": "split", "memory": self.memory, **timed}
        return score_documents(self.model, query, texts, activation, **options)


def rerank_hits(stage: SecondStage, query: str, hits: Sequence[Hit], *, top_k: int, batch_size: int = 32) -> list[Hit]:
    """Returns the best hits in the reranker's order, with its scores; equal scores keep the search's order.

    Args:
        stage: The reranker.
        query: The query.
        hits: The hits of the search, best first.
        top_k: The most hits to return; as many are scored in any case.
        batch_size: The most pairs in a step. Default: 32.
    """
    scores = stage.score(
        query,
        [to_text(hit) for hit in hits],
        "sigmoid",
        within_ms=stage.within_ms,
        least=max(top_k, PAIRS_IN_TIME),
        batch_size=batch_size,
    )
    order = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return [dataclasses.replace(hits[place], score=float(scores[place])) for place in order]


def rerank_results(
    stage: SecondStage, results: Sequence[SearchResult], *, top_k: int, batch_size: int = 32
) -> list[SearchResult]:
    """Reranks the results of several queries: see `rerank_hits`."""
    made = []
    for result in results:
        hits = rerank_hits(stage, result["text"], result.hits, top_k=top_k, batch_size=batch_size)
        answer = (hits[0].text or hits[0].title) if hits else result["answer"]
        made.append(SearchResult(result["text"], answer, hits))
    return made


def rerank_run(
    stage: SecondStage,
    queries: Mapping[str, str],
    run: Mapping[str, Sequence[tuple[str, float]]],
    documents: Mapping[str, Document],
    *,
    batch_size: int = 32,
) -> dict[str, list[tuple[str, float]]]:
    """Reranks the rankings of an evaluation; what follows the first `top` documents keeps its place.

    Args:
        stage: The reranker; its time budget does not count.
        queries: Query id → text.
        run: Query id → `(document id, score)` pairs, best first.
        documents: Document id → document.
        batch_size: The most pairs in a step. Default: 32.

    Returns:
        Query id → `(document id, score)` pairs, best first; the scores only say the order.
    """
    made = {}
    for query, ranking in run.items():
        first = [id for id, _ in ranking[: stage.top]]
        texts = [documents[id].full_text for id in first]
        scores = stage.score(queries[query], texts, "identity", batch_size=batch_size)
        order = [first[place] for place in np.argsort(-scores, kind="stable").tolist()]
        ids = [*order, *(id for id, _ in ranking[stage.top :])]
        made[query] = [(id, float(-place)) for place, id in enumerate(ids)]
    return made


def serve_second_stage(stage: SecondStage, index: Iterable[Document] | None) -> SecondStage:
    """Returns the reranker of a SavedModel: in a precision in which TensorFlow computes.

    Args:
        stage: The reranker.
        index: The documents; int8 is calibrated on pairs of them if the reranker has no sample.
    """
    from tfchain.tasks.served_encoder import to_tensorflow

    sample = list(stage.sample)
    if not sample and stage.model.runner.needs_flatbuffer:
        texts = [document.full_text for document in itertools.islice(index or (), SAMPLE_PAIRS)]
        sample = texts if stage.late is not None else [join_pair(stand_in_query(text), text) for text in texts]
    return dataclasses.replace(stage, model=to_tensorflow(stage.model, sample))


def to_text(hit: Hit) -> str:
    """Returns what a reranker reads of a document: title and text."""
    return f"{hit.title} {hit.text}".strip() if hit.title else hit.text


def stand_in_query(text: str) -> str:
    """Returns a document's first words, which stand in for a query where there is none."""
    return " ".join(text.split()[:STAND_IN_WORDS])
