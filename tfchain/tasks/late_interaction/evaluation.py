"""How well late interaction orders the documents of a query."""

import itertools
from collections.abc import Sequence

import numpy as np

from tfchain.core.progress import show_progress
from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.late_interaction.encoding import encode_tokens
from tfchain.tasks.late_interaction.maxsim import max_sim
from tfchain.tasks.ranking_metrics import ranking_metrics
from tfchain.tasks.reranking.ranked_lists import RankedLists

DOCUMENTS_AT_ONCE = 1024


def make_evaluation(
    judged: RankedLists, *, metrics: Sequence[str], batch_size: int, progress: bool | None = None
) -> Evaluate:
    """Returns a function from a model of late interaction to the metrics of its order of each query's documents.

    Equal scores keep the order of the lists.

    Args:
        judged: The lists; labels are grades.
        metrics: The names of metrics of search.
        batch_size: The most texts in a step.
        progress: Whether to show a progress bar. Default: when it takes more than a second.
    """
    qrels = {
        str(row): {str(place): int(grade) for place, grade in enumerate(grades)}
        for row, grades in enumerate(judged.labels)
    }

    def evaluate(model: TextEncoder) -> dict[str, float]:
        run: dict[str, list[tuple[str, float]]] = {}
        with show_progress(len(judged), "evaluating", shown=progress) as advance:
            for rows in _group(judged):
                queries = encode_tokens(model, [judged.queries[row] for row in rows], "query", batch_size=batch_size)
                texts = list(dict.fromkeys(text for row in rows for text in judged.documents[row]))
                found = encode_tokens(model, texts, "document", batch_size=batch_size)
                places = {text: place for place, text in enumerate(texts)}
                for number, row in enumerate(rows):
                    scores = max_sim(queries.take(number), found)[[places[text] for text in judged.documents[row]]]
                    order = np.argsort(-scores, kind="stable").tolist()
                    run[str(row)] = [(str(place), float(scores[place])) for place in order]
                advance(len(rows))
        return ranking_metrics(run, qrels, metrics)

    return evaluate


def _group(judged: RankedLists) -> list[list[int]]:
    """Returns the rows in groups of some documents each."""
    ends = np.cumsum([len(documents) for documents in judged.documents])
    numbers = (ends - 1) // DOCUMENTS_AT_ONCE
    return [list(group) for _, group in itertools.groupby(range(len(judged)), key=lambda row: int(numbers[row]))]
