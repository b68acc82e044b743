"""Puts logged queries and documents through a drift monitor, as if a server saw them now."""

from collections.abc import Callable, Sequence

import numpy as np

from tfchain.monitoring.canaries.ask import make_ask
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.canaries.check import check_canaries
from tfchain.monitoring.drift.monitor import DriftMonitor
from tfchain.monitoring.drift.record import record_documents, record_queries
from tfchain.monitoring.drift.stream import Look
from tfchain.monitoring.served_model import ServedModel

AT_ONCE = 1_000  # texts whose vectors are held


def replay(
    monitor: DriftMonitor,
    model: ServedModel,
    *,
    queries: Sequence[str] = (),
    documents: Sequence[str] = (),
    canaries: Sequence[CanaryQuery] = (),
    count_unknown: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> dict[str, list[Look]]:
    """Asks a model for the vectors and scores of texts, and gives them to a monitor in their order.

    Args:
        monitor: The monitor.
        model: The model that the reference was made with, or one that may differ: the canaries say so.
        queries: Queries, oldest first. Default: none.
        documents: Documents, in the order in which they were added. Default: none.
        canaries: Asked first. Default: none; the model is taken to be the same.
        count_unknown: From texts to the share of unknown tokens in each. Default: not compared.

    Returns:
        The looks at the queries and at the documents.
    """
    if canaries:
        monitor.take_canaries(check_canaries(make_ask(model), canaries).is_same_model)
    looks: dict[str, list[Look]] = {"queries": [], "documents": []}
    for start in range(0, len(queries), AT_ONCE):
        texts = queries[start : start + AT_ONCE]
        sample = record_queries(model, texts, count_unknown=count_unknown)
        for row, text in enumerate(texts):
            scalars = {name: float(values[row]) for name, values in sample.scalars.items()}
            look = monitor.add_query(text, None if sample.vectors is None else sample.vectors[row], **scalars)
            looks["queries"] += [] if look is None else [look]
    for start in range(0, len(documents), AT_ONCE):
        texts = documents[start : start + AT_ONCE]
        sample = record_documents(model, texts)
        for row, text in enumerate(texts):
            look = monitor.add_document(None if sample.vectors is None else sample.vectors[row], text)
            looks["documents"] += [] if look is None else [look]
    return looks
