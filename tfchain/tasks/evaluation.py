"""Evaluation of search: ranks a dataset's documents for its queries and compares with its judgements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.beir import BeirDataset, read_beir, to_dataset
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.document_index import DocumentIndex
from tfchain.tasks.search import PassageConfig, make_index, rank_queries
from tfchain.training.metrics import DEFAULT_METRICS, largest_cutoff, ranking_metrics

EvaluationSource = str | Path | BeirDataset | Mapping[str, Any]


def read_evaluation(dataset: EvaluationSource, *, split: str = "test") -> BeirDataset:
    """Reads what a search is evaluated on.

    Args:
        dataset: A BEIR folder, a `BeirDataset`, or a dict of `queries` (id → text), `qrels` (query id → document id →
            grade), and `documents`, anything that `read_documents` takes.
        split: Of a BEIR folder, `qrels/<split>.tsv`. Default: `test`.

    Raises:
        InputError: if it is something else or cannot be read.
    """
    if isinstance(dataset, str | Path):
        return read_beir(dataset, split=split)
    if isinstance(dataset, Mapping):
        check_names(dataset, ("queries", "qrels", "documents"), needed=("queries", "qrels"))
        return to_dataset(**dataset)
    if not isinstance(dataset, BeirDataset):
        raise InputError(
            "An evaluation needs a BEIR folder, a BeirDataset, or a dict of queries, qrels and documents. "
            f"Received: {type(dataset).__name__}."
        )
    return dataset


def evaluate_index(
    text_encoder: TextEncoder,
    index: DocumentIndex,
    dataset: BeirDataset,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    batch_size: int = 32,
) -> dict[str, float]:
    """The metrics of an index of documents.

    Args:
        text_encoder: What made the index' vectors.
        index: The documents.
        dataset: Queries and judgements.
        metrics: Names of ranking metrics.
        batch_size: The most texts in one step. Default: 32.

    Returns:
        Metric → mean over the judged queries.
    """
    cutoff = largest_cutoff(metrics)
    top_k = min(cutoff or len(index), len(index))
    run = rank_queries(text_encoder, index, dataset.queries, top_k=top_k, batch_size=batch_size)
    return ranking_metrics(run, dataset.qrels, metrics)


def make_evaluation(
    dataset: BeirDataset,
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    batch_size: int = 32,
    index_bytes: bool = False,
) -> Callable[[TextEncoder], dict[str, float]]:
    """A function from a text encoder to its metrics, for evaluating again and again while training.

    Args:
        dataset: Queries and judgements.
        documents: What is searched; held in memory.
        passages: How long documents are treated.
        metrics: Names of ranking metrics.
        batch_size: The most texts in one step. Default: 32.
        index_bytes: Whether the metrics hold `index_bytes`, the size of the index, too. Default: False.

    Raises:
        InputError: if there are no documents.
    """
    held = list(documents)
    if not held:
        raise InputError("There is nothing to search: the dataset brings no documents and the chain has none.")

    def evaluate(text_encoder: TextEncoder) -> dict[str, float]:
        index = make_index(text_encoder, held, passages, batch_size=batch_size, progress=False)
        found = evaluate_index(text_encoder, index, dataset, metrics=metrics, batch_size=batch_size)
        return found | {"index_bytes": index.vectors.nbytes} if index_bytes else found

    return evaluate


def check_names(given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> None:
    """Stops names that nobody knows, and the lack of those that are needed."""
    if not set(needed) <= set(given) <= set(known):
        raise InputError(
            f"Expected the names {', '.join(known)}, of which {' and '.join(needed)} are needed. "
            f"Received: {', '.join(map(str, given)) or 'none'}."
        )
