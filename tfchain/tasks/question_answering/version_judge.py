"""Judges an exported version: how good its answers are, with each question's context, or from its own documents."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judge, Judgement
from tfchain.core.judgement import Question as Request
from tfchain.tasks.question_answering.metrics import COMPARE
from tfchain.tasks.question_answering.questions import Question

BATCH = 8
NUM_PROBES = 50
READER, ANSWER = "reader", "answer"


def make_question_judge(questions: Sequence[Question], *, metric: str) -> Judge:
    """Returns a function from a version to the metric of each question.

    A version with the signature `reader` reads the questions' own contexts; one without answers from its documents.

    Args:
        questions: The questions.
        metric: The name of a metric that every question has.

    Raises:
        InputError: if the metric is unknown, or of some questions only.
    """
    if metric not in COMPARE:
        raise InputError(f"`metric` must be one of {', '.join(COMPARE)}. Received: metric={metric!r}.")

    def judge(version: AskedVersion) -> Judgement:
        signature = READER if READER in version.signatures else ANSWER
        answers: list[str] = []
        for start in range(0, len(questions), BATCH):
            asked = version.ask(_to_request(signature, questions[start : start + BATCH]))
            answers += [row[0].decode("utf-8", "replace") for row in asked["answers"].tolist()]
        compare = COMPARE[metric]
        values = [compare(answer, one.answers) for answer, one in zip(answers, questions, strict=True)]
        step = max(1, len(questions) // NUM_PROBES)
        probes = [_to_request(signature, [one]) for one in questions[::step][:NUM_PROBES]]
        return Judgement(metric, np.array(values, "float64"), rankings=[[one] for one in answers], probes=probes)

    return judge


def _to_request(signature: str, questions: Sequence[Question]) -> Request:
    asked = _to_array([one.question for one in questions])
    if signature == ANSWER:
        return Request(signature, {"text": asked})
    return Request(signature, {"question": asked, "context": _to_array([one.context for one in questions])})


def _to_array(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode("utf-8", "replace") for text in texts], dtype=object)
