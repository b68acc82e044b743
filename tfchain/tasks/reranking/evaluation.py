"""How well a reranker orders the documents of a query."""

import itertools
from collections.abc import Sequence

import numpy as np

from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.ranking_metrics import ranking_metrics
from tfchain.tasks.reranking.ranked_lists import RankedLists


def make_evaluation(
    judged: RankedLists, *, metrics: Sequence[str], batch_size: int, progress: bool | None = None
) -> Evaluate:
    """Returns a function from a cross-encoder to the metrics of its order of each query's documents.

    Equal scores keep the order of the lists, so that a model that scores all alike is as good as that order.

    Args:
        judged: The lists; labels are grades.
        metrics: The names of metrics of search.
        batch_size: The most pairs in a step.
        progress: Whether to show a progress bar. Default: when it takes more than a second.
    """
    texts = [
        join_pair(query, document)
        for query, documents in zip(judged.queries, judged.documents, strict=True)
        for document in documents
    ]
    bounds = np.cumsum([0, *map(len, judged.documents)])
    qrels = {
        str(row): {str(place): int(grade) for place, grade in enumerate(grades)}
        for row, grades in enumerate(judged.labels)
    }

    def evaluate(model: TextEncoder) -> dict[str, float]:
        outputs = model.encode(texts, prompt="", batch_size=batch_size, progress=progress)[:, 0]
        run = {}
        for row, (start, end) in enumerate(itertools.pairwise(bounds)):
            scores = outputs[start:end]
            order = np.argsort(-scores, kind="stable").tolist()
            run[str(row)] = [(str(place), float(scores[place])) for place in order]
        return ranking_metrics(run, qrels, metrics)

    return evaluate
