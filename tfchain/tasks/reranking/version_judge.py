"""Judges an exported reranker: how it orders the documents of each query."""

import itertools
from collections.abc import Sequence

import numpy as np

from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.core.signatures import RERANK
from tfchain.tasks.ranking_metrics import largest_cutoff, ranking_values
from tfchain.tasks.reranking.ranked_lists import RankedLists

BATCH = 32
NUM_PROBES = 50


def make_reranking_judge(lists: RankedLists, *, metric: str) -> Judge:
    """Returns a function from a version to the metric of each list. Equal scores keep the order of the list.

    Args:
        lists: Queries with documents and grades.
        metric: The name of a ranking metric.

    Raises:
        InputError: if the metric is unknown.
    """
    largest_cutoff([metric])
    pairs = [(query, text) for query, texts in zip(lists.queries, lists.documents, strict=True) for text in texts]
    bounds = np.cumsum([0, *map(len, lists.documents)]).tolist()
    qrels = {
        str(row): {str(place): int(grade) for place, grade in enumerate(grades)}
        for row, grades in enumerate(lists.labels)
    }

    def judge(version: AskedVersion) -> Judgement:
        scores = np.concatenate(
            [
                version.ask(_to_question(pairs[start : start + BATCH]))["score"].reshape(-1)
                for start in range(0, len(pairs), BATCH)
            ]
        )
        rankings = [
            list(map(str, np.argsort(-scores[start:end], kind="stable").tolist()))
            for start, end in itertools.pairwise(bounds)
        ]
        run = {
            str(row): [(place, float(-rank)) for rank, place in enumerate(places)]
            for row, places in enumerate(rankings)
        }
        values = ranking_values(run, qrels, [metric])[metric]
        step = max(1, len(pairs) // NUM_PROBES)
        probes = [_to_question([pair]) for pair in pairs[::step][:NUM_PROBES]]
        return Judgement(metric, np.array([values[query] for query in qrels]), rankings=rankings, probes=probes)

    return judge


def _to_question(pairs: Sequence[tuple[str, str]]) -> Question:
    columns = zip(("text", "text_pair"), zip(*pairs, strict=True), strict=True)
    inputs = {
        name: np.array([text.encode("utf-8", "replace") for text in texts], dtype=object) for name, texts in columns
    }
    return Question(RERANK, inputs)
