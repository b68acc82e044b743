"""The threshold of "no answer": how far its logit must be above the best span's, tuned on questions of both kinds.

Source: `find_best_thresh` of SQuAD 2.0's evaluation script (https://rajpurkar.github.io/SQuAD-explorer/).
"""

from collections.abc import Sequence

import numpy as np

from tfchain.tasks.question_answering.metrics import Compare
from tfchain.tasks.question_answering.questions import Question


def find_threshold(
    margins: Sequence[float], answers: Sequence[str], questions: Sequence[Question], compare: Compare
) -> float:
    """Returns the threshold with the best mean metric: no answer is given where the margin is above it.

    Args:
        margins: By how much no answer's logit is above the best span's, of each question.
        answers: The best span's text of each.
        questions: The questions, of both kinds.
        compare: The metric of an answer and the right ones.

    Returns:
        A number in the middle between two margins, of equally good ones the highest (the most answers); without
        questions that have no answer, infinity.
    """
    if all(question.is_answerable for question in questions):
        return float("inf")
    finite = np.nan_to_num(np.asarray(margins, dtype="float64"), posinf=1e9, neginf=-1e9)
    order = np.argsort(finite, kind="stable")
    with_answer = np.array([compare(answer, one.answers) for answer, one in zip(answers, questions, strict=True)])
    without = np.array([compare("", one.answers) for one in questions])
    # With the first n margins at or below the threshold, these answer, and the others do not.
    totals = np.concatenate([[0.0], np.cumsum(with_answer[order])]) + np.concatenate(
        [np.cumsum(without[order][::-1])[::-1], [0.0]]
    )
    ranked = finite[order]
    is_possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])  # equal margins are on one side
    totals = np.where(is_possible, totals, -np.inf)
    count = int(np.flatnonzero(totals >= totals.max() - 1e-9)[-1])
    if count == 0:
        return float(ranked[0] - 1)
    if count == len(ranked):
        return float(ranked[-1] + 1)
    return float((ranked[count - 1] + ranked[count]) / 2)
