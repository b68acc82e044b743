"""The metrics of answers by name, each a mean over questions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.tasks.question_answering import cmrc_metrics, squad_metrics
from tfchain.tasks.question_answering.questions import Question

Compare = Callable[[str, Sequence[str]], float]  # from an answer and the right ones to a number from 0 to 1

COMPARE: dict[str, Compare] = {
    "exact_match": squad_metrics.exact_match,
    "f1": squad_metrics.f1,
    "cmrc_exact_match": cmrc_metrics.cmrc_exact_match,
    "cmrc_f1": cmrc_metrics.cmrc_f1,
}
# Of one kind of question alone: those with an answer, those without.
HAS_ANSWER, NO_ANSWER = "has_answer_f1", "no_answer_accuracy"
METRICS = (*COMPARE, HAS_ANSWER, NO_ANSWER)


def check_metrics(metrics: Sequence[str]) -> None:
    """Raises an `InputError` for a name that is not a metric's."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise InputError(
            f"`metrics` must be among {', '.join(METRICS)}. Received: {', '.join(map(str, unknown))}.",
            argument="metrics",
        )


def measure(name: str, answers: Sequence[str], questions: Sequence[Question]) -> np.ndarray:
    """Returns a metric of each question that it counts, float64 `(counted,)`.

    Args:
        name: The metric.
        answers: The answer to each question; empty for none.
        questions: The questions.
    """
    if name == HAS_ANSWER:
        pairs = [(answer, one) for answer, one in zip(answers, questions, strict=True) if one.is_answerable]
        return np.array([squad_metrics.f1(answer, one.answers) for answer, one in pairs], dtype="float64")
    if name == NO_ANSWER:
        found = [not answer for answer, one in zip(answers, questions, strict=True) if not one.is_answerable]
        return np.array(found, dtype="float64")
    compare = COMPARE[name]
    return np.array([compare(answer, one.answers) for answer, one in zip(answers, questions, strict=True)])


def measure_all(metrics: Sequence[str], answers: Sequence[str], questions: Sequence[Question]) -> Mapping[str, float]:
    """Returns the means of metrics; 0 for one that counts no question.

    Args:
        metrics: Their names.
        answers: The answer to each question.
        questions: The questions.
    """
    return {name: _mean(measure(name, answers, questions)) for name in metrics}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
