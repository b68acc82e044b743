"""Answers in their passages: whether each stands there, and where `answer_start` says."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class AnswerFault(NamedTuple):
    """An answer that does not stand where it should.

    Args:
        id: The question's id or place.
        question: The question.
        answer: The answer.
        start: Where it is said to begin, in characters; `None` if nothing is said.
        found: What stands there, of the answer's length; empty if nothing is said.
        missing: Whether the answer stands nowhere in the passage.
    """

    id: str
    question: str
    answer: str
    start: int | None
    found: str
    missing: bool


def check_answers(id: str, question: str, passage: str, answers: Iterable[tuple[str, int | None]]) -> list[AnswerFault]:
    """Returns the answers that are not in the passage, or not where they are said to begin.

    Args:
        id: The question's id or place.
        question: The question.
        passage: The passage; compared as it is, character by character, as training reads it.
        answers: Each answer's text, and the offset in characters at which it begins; `None` if that is not said.

    Example:
        >>> check_answers("q1", "Who?", "It was Ada.", [("Ada", 7), ("Ada", 6), ("Bob", None)])[0].found
        ' Ad'
    """
    faults = []
    for text, start in answers:
        missing = text not in passage
        found = "" if start is None or start < 0 else passage[start : start + len(text)]
        if missing or (start is not None and found != text):
            faults.append(AnswerFault(id, question, text, start, found, missing))
    return faults


def read_answers(value: Any) -> Iterator[tuple[str, int | None]]:
    """Yields the answers in a column of SQuAD-like data: a list of dicts, or Hugging Face's dict of lists.

    Args:
        value: `[{"text": …, "answer_start": …}, …]`, `{"text": [...], "answer_start": [...]}`, a text, or a list of
            texts. Anything else has no answers.
    """
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, str):
            yield texts, to_start(starts)
        elif isinstance(texts, list | tuple):
            given = list(starts) if isinstance(starts, list | tuple) else []
            for number, text in enumerate(texts):
                if isinstance(text, str):
                    yield text, to_start(given[number]) if number < len(given) else None
    elif isinstance(value, list | tuple):
        for item in value:
            yield from read_answers(item)
    elif isinstance(value, str) and value:
        yield value, None


def to_start(value: Any) -> int | None:
    """Returns an offset; `None` if it is not a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
