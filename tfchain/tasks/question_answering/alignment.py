"""Where a question's answer is in its context, and the questions whose data says a wrong place."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tfchain.tasks.question_answering.questions import Question

logger = logging.getLogger(__name__)

NAMED = 5  # questions in a warning


@dataclass(frozen=True, slots=True)
class Misaligned:
    """A question none of whose answers is where its data says.

    Args:
        id: The question's name.
        answer: Its first answer.
        start: Where the data says that it begins; None if it does not say, and the context does not have it.
        found: What the context has there.
        elsewhere: Where the context has the answer, the first place; None if it has it nowhere.
    """

    id: str
    answer: str
    start: int | None
    found: str
    elsewhere: int | None


def find_span(question: Question) -> tuple[int, int] | None:
    """Returns the first answer's start and end in the context, in characters, that is where its data says.

    An answer without a start is looked for: its first place counts.

    Args:
        question: A question.

    Returns:
        None if there is no answer, or none is where the data says.
    """
    for answer, start in zip(question.answers, question.starts, strict=True):
        place = question.context.find(answer) if start is None else start
        if answer and place >= 0 and question.context[place : place + len(answer)] == answer:
            return place, place + len(answer)
    return None


def find_misaligned(questions: Sequence[Question]) -> list[Misaligned]:
    """Returns the questions that have answers, none of which is where the data says: not to be trained on.

    Args:
        questions: The questions.
    """
    found = []
    for question in questions:
        if question.is_answerable and find_span(question) is None:
            answer, start = question.answers[0], question.starts[0]
            there = "" if start is None or start < 0 else question.context[start : start + len(answer)]
            place = question.context.find(answer) if answer else -1
            found.append(Misaligned(question.id, answer, start, there, place if place >= 0 else None))
    return found


def report_misaligned(misaligned: Sequence[Misaligned], total: int) -> None:
    """Logs a warning about questions that a training leaves out, with the first of them.

    Args:
        misaligned: The questions.
        total: How many questions there are.
    """
    if not misaligned:
        return
    shown = "; ".join(
        f"{one.id}: {one.answer!r:.40} at {one.start}, where the context has {one.found!r:.40}"
        for one in misaligned[:NAMED]
    )
    logger.warning(
        "%d of %d questions are left out of the training: their answers are not where the data says (%s%s).",
        *(len(misaligned), total, shown, "; …" if len(misaligned) > NAMED else ""),
    )
