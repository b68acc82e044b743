"""Evaluation of search: ranks a dataset's documents for its queries, and compares with its judgements."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.checks import to_path
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.task import Evaluate
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset, to_dataset
from tfchain.data.documents.judged import read_judged
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.ranking_metrics import DEFAULT_METRICS, largest_cutoff, ranking_metrics
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, make_index, rank_queries
from tfchain.tasks.search.second_stage import SecondStage, rerank_run

logger = logging.getLogger(__name__)

EvaluationSource = str | Path | BeirDataset | Mapping[str, Any]


def read_evaluation(dataset: EvaluationSource, *, split: str = "test") -> BeirDataset:
    """Reads the evaluation data of a search.

    Args:
        dataset: A BEIR folder, a `BeirDataset`, or a dict of `queries` (id → text), `qrels` (query id → document id →
            grade), and `documents`, anything that `read_documents` accepts.
        split: The split of a BEIR folder, `qrels/<split>.tsv`. Default: `test`.

    Raises:
        InputError: if the data is of another kind, or cannot be read.
    """
    if isinstance(dataset, str | Path):
        return read_judged(to_path("dataset", dataset), split=split)
    if isinstance(dataset, Mapping):
        check_names(dataset, ("queries", "qrels", "documents"), needed=("queries", "qrels"))
        return to_dataset(**dataset)
    if not isinstance(dataset, BeirDataset):
        raise InputError(
            "An evaluation needs a BEIR folder, a BeirDataset, or a dict of queries, qrels and documents. "
            f"Received: {type(dataset).__name__}."
        )
    return to_dataset(queries=dataset.queries, qrels=dataset.qrels, documents=dataset.corpus)


def evaluate_index(
    text_encoder: TextEncoder,
    index: DocumentIndex,
    dataset: BeirDataset,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    batch_size: int = 32,
    second_stage: SecondStage | None = None,
) -> dict[str, float]:
    """Computes the metrics of an index.

    Args:
        text_encoder: The model that made the index's vectors.
        index: The documents.
        dataset: Queries and judgements.
        metrics: Names of ranking metrics.
        batch_size: The most texts in one step. Default: 32.
        second_stage: A reranker, whose metrics are then there too, as `reranked_<metric>`. Default: none.

    Returns:
        Metric → mean over the judged queries.
    """
    cutoff = largest_cutoff(metrics)
    index = index.snapshot()
    warn_about_unfindable(index, dataset)
    top_k = min(max(cutoff or len(index), 0 if second_stage is None else second_stage.top), len(index))
    qrels = dataset.qrels
    run = rank_queries(text_encoder, index, dataset.queries, top_k=top_k, qrels=qrels, batch_size=batch_size)
    found = ranking_metrics(run, qrels, metrics)
    if second_stage is not None:
        documents = {document.id: document for document in index}
        run = rerank_run(second_stage, dataset.queries, run, documents, batch_size=batch_size)
        found |= {f"reranked_{name}": value for name, value in ranking_metrics(run, qrels, metrics).items()}
    return found


def warn_about_unfindable(index: DocumentIndex, dataset: BeirDataset) -> None:
    """Logs how many queries have no relevant document in the index: they count 0 whatever is found."""
    relevant = {query: [id for id, grade in grades.items() if grade > 0] for query, grades in dataset.qrels.items()}
    lost = [query for query, ids in relevant.items() if ids and not any(id in index for id in ids)]
    if lost:
        logger.warning(
            "%d of %d queries, such as %r, count 0 in every metric: none of their relevant documents, such as %r, is "
            "among the %d searched. Compare the ids in `qrels` with the documents'.",
            *(len(lost), len(relevant), lost[0], relevant[lost[0]][0], len(index)),
        )


def find_documents(dataset: BeirDataset, index: DocumentIndex | None) -> list[Document]:
    """Returns the documents to search in an evaluation: the dataset's, or the index's if the dataset has none.

    Raises:
        InputError: if there are no documents.
    """
    documents = [] if dataset.corpus is None else list(dataset.documents())
    documents = documents or list(index or ())
    if not documents:
        raise InputError("There is nothing to search: neither the dataset nor the chain has documents.")
    return documents


def make_evaluation(
    dataset: BeirDataset,
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    index: DocumentIndex | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    batch_size: int = 32,
    progress: bool | None = False,
    index_bytes: bool = False,
    second_stage: SecondStage | None = None,
) -> Evaluate:
    """Returns a function from a text encoder to its metrics, for repeated evaluation.

    Args:
        dataset: Queries and judgements.
        documents: The documents to search, kept in memory.
        passages: How to handle documents longer than the maximum length.
        index: An index to use, if it has exactly these documents and vectors of the evaluated model. Default: none.
        metrics: Names of ranking metrics.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar while documents are encoded; None shows it when it takes more than a
            second. Default: False.
        index_bytes: Whether the metrics include `index_bytes`, the size of the index. Default: False.
        second_stage: As in `evaluate_index`. Default: none.

    Raises:
        InputError: if there are no documents, or a metric is unknown.
    """
    held = list(documents)
    if not held:
        raise InputError("There is nothing to search: neither the dataset nor the chain has documents.")
    largest_cutoff(metrics)

    def evaluate(text_encoder: TextEncoder) -> dict[str, float]:
        searched = index
        if searched is None or not holds_exactly(searched, held) or searched.fingerprint != text_encoder.fingerprint:
            searched = make_index(text_encoder, held, passages, batch_size=batch_size, progress=progress)
        found = evaluate_index(
            text_encoder, searched, dataset, metrics=metrics, batch_size=batch_size, second_stage=second_stage
        )
        return found | {"index_bytes": searched.vectors.nbytes} if index_bytes else found

    return evaluate


def holds_exactly(index: DocumentIndex, documents: Sequence[Document]) -> bool:
    """Returns whether an index has these documents and no others."""
    return len(documents) == len(index) and all(index.get(document.id) == document for document in documents)


def describe_judged(dataset: BeirDataset, documents: Sequence[Document], passages: PassageConfig) -> dict[str, str]:
    """Returns fingerprints of everything but the model that an evaluation depends on.

    Args:
        dataset: Queries and judgements.
        documents: The documents to search, in order.
        passages: How to handle documents longer than the maximum length.

    Returns:
        `validation` for queries and judgements; `ranked` for documents and their handling.
    """
    digest = hashlib.sha256(json.dumps(passages.to_dict(), sort_keys=True).encode())
    for document in documents:
        digest.update(json.dumps([document.id, document.title, document.text]).encode())
    judged = make_fingerprint({"queries": dataset.queries, "qrels": dataset.qrels}, ())
    return {"validation": judged, "ranked": digest.hexdigest()}


def check_names(given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> None:
    """Raises if a name is unknown, or a needed name is missing."""
    if not set(needed) <= set(given) <= set(known):
        raise InputError(
            f"Expected the names {', '.join(known)}, of which {' and '.join(needed)} are needed. "
            f"Received: {', '.join(map(str, given)) or 'none'}."
        )
