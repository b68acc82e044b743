"""Judges an exported version's classification by the labels that it answers."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.tasks.classification.graph import CLASSIFY_TEXT
from tfchain.tasks.pseudo_values import shift_to_metric
from tfchain.tasks.text_rows import TextRows

BATCH = 32
NUM_PROBES = 50
JUDGED_METRICS = ("accuracy", "macro_f1")


def make_classification_judge(rows: TextRows, *, metric: str) -> Judge:
    """Returns a function from a version to its metric for each row.

    Args:
        rows: Texts, or pairs of texts, with the names of their labels as targets.
        metric: `accuracy` or `macro_f1`, which need no more of a version than its labels.

    Raises:
        InputError: if it is another metric.
    """
    if metric not in JUDGED_METRICS:
        raise InputError(
            f"A version's labels are judged by {' or '.join(JUDGED_METRICS)}. Received: metric={metric!r}, which needs "
            "all probabilities. Use `evaluate` of the chain for it."
        )
    right = [frozenset(target) for target in rows.targets]

    def judge(version: AskedVersion) -> Judgement:
        chosen: list[frozenset[str]] = []
        rankings: list[list[str]] = []
        for start in range(0, len(rows), BATCH):
            answer = version.ask(Question(CLASSIFY_TEXT, _to_inputs(rows, slice(start, start + BATCH))))
            names = [[name.decode("utf-8", "replace") for name in row] for row in answer["labels"].tolist()]
            rankings += names
            if "chosen" in answer:
                decided = answer["chosen"].tolist()
                chosen += [
                    frozenset(name for name, is_chosen in zip(row, marks, strict=True) if is_chosen)
                    for row, marks in zip(names, decided, strict=True)
                ]
            else:
                chosen += [frozenset(row[:1]) for row in names]
        if metric == "accuracy":
            values = np.array([found == wanted for found, wanted in zip(chosen, right, strict=True)], np.float64)
        else:
            values = find_macro_f1(chosen, right)
        step = max(1, len(rows) // NUM_PROBES)
        probes = [Question(CLASSIFY_TEXT, _to_inputs(rows, slice(row, row + 1))) for row in range(0, len(rows), step)][
            :NUM_PROBES
        ]
        return Judgement(metric, values, rankings=rankings, probes=probes)

    return judge


def find_macro_f1(chosen: Sequence[frozenset[str]], right: Sequence[frozenset[str]]) -> np.ndarray:
    """Returns the pseudo-values of macro F1: the mean F1 over the labels that are true or predicted.

    Args:
        chosen: The labels of each row that the version predicts.
        right: The labels that are true.
    """
    names = sorted({name for labels in (*chosen, *right) for name in labels})
    places = {name: place for place, name in enumerate(names)}
    found, wanted = (np.zeros((len(chosen), len(names)), bool) for _ in range(2))
    for row, (predicted, true) in enumerate(zip(chosen, right, strict=True)):
        found[row, [places[name] for name in predicted]] = True
        wanted[row, [places[name] for name in true]] = True
    hits, marked = (found & wanted).astype(np.int64), found.astype(np.int64) + wanted
    total = _mean_f1(hits.sum(0)[None], marked.sum(0)[None])[0]
    return shift_to_metric(float(total), _mean_f1(hits.sum(0) - hits, marked.sum(0) - marked))


def _mean_f1(hits: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Returns the mean of `2 hits / (predicted + true)` over the labels that occur, `(rows, labels)` → `(rows,)`."""
    scores = np.divide(2 * hits, marked, out=np.zeros(hits.shape), where=marked > 0)
    counts = (marked > 0).sum(axis=1)
    means: np.ndarray = scores.sum(axis=1) / np.maximum(counts, 1)
    return means


def _to_inputs(rows: TextRows, part: slice) -> dict[str, np.ndarray]:
    columns = {"text": rows.texts} | ({} if rows.second_texts is None else {"text_pair": rows.second_texts})
    return {
        name: np.array([text.encode("utf-8", "replace") for text in texts[part]], dtype=object)
        for name, texts in columns.items()
    }
