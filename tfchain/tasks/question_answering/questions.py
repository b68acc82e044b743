"""Questions with a context and their answers in it: what a reader is trained and evaluated on, and how it is read."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.documents.squad import is_squad, read_paragraphs, to_row
from tfchain.data.files.data_file import to_file
from tfchain.data.files.datasets import is_hugging_face, read_hugging_face
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import block_records, read_json_lines, record_ending
from tfchain.data.files.tables import read_parquet

FORMS = (
    "a SQuAD-like .json file (SQuAD, CMRC), a .jsonl or .parquet file, a Hugging Face Dataset, or a list, of "
    "dicts with `question`, `context` and `answers` ({'text': [...], 'answer_start': [...]}), or of (question, "
    "context, answer) tuples, with the empty text as the answer of a question that its context does not answer"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context.

    Args:
        question: The question.
        context: The text that it is asked of.
        answers: The right answers; none if the context does not answer it.
        starts: Where each begins in the context, in characters, as the data says; None where it does not say. Default:
            none says.
        id: The question's name in its data, or its place.
    """

    question: str
    context: str
    answers: tuple[str, ...] = ()
    starts: tuple[int | None, ...] = ()
    id: str = ""

    def __post_init__(self) -> None:
        if not self.starts and self.answers:
            object.__setattr__(self, "starts", (None,) * len(self.answers))
        if len(self.starts) != len(self.answers):
            raise InputError(
                f"`starts` must have a place for each answer, or None. Received: {len(self.answers)} answers, "
                f"{len(self.starts)} starts."
            )

    @property
    def is_answerable(self) -> bool:
        """Whether the context answers it."""
        return bool(self.answers)


def read_questions(source: Any, *, split: str = "train") -> list[Question]:
    """Reads questions.

    Args:
        source: One of:

            - the path of a SQuAD-like `.json` file (also `.gz`): SQuAD 1 and 2, CMRC 2018. Questions marked as
              impossible have no answers.
            - the path of a `.jsonl` (also `.gz`) or `.parquet` file, a Hugging Face `Dataset` or `DatasetDict`, or a
              list or a generator, of rows with `question`, `context` and `answers`: a dict of `text` and `answer_start`
              lists, as in Hugging Face's SQuAD; a list of `{"text": …, "answer_start": …}`; or texts, or one (also
              named `answer`), which are looked for in the context.
            - a list of `(question, context, answer)` or `(question, context, answer, answer_start)` tuples. An empty
              answer means that there is none.
            - a list of `Question`s.
        split: The split of a `DatasetDict`. Default: `train`.

    Raises:
        InputError: if there are no rows, or one is of another form; with the row's place.
    """
    found = [_to_question(row, place) for place, row in _iterate(source, split)]
    if not found:
        raise InputError(f"The dataset must have at least one question. Received: an empty {type(source).__name__}.")
    return found


def _iterate(source: Any, split: str) -> Iterator[tuple[Place, Any]]:
    if isinstance(source, str | os.PathLike):
        yield from _read_file(os.fspath(source))
    elif is_hugging_face(source):
        for block in read_hugging_face(source, split, lambda names, place: names, "dataset"):
            yield from block_records(block)
    elif isinstance(source, Mapping | bytes | set | frozenset | np.ndarray) or not isinstance(source, Iterable):
        raise InputError(f"`dataset` must be {FORMS}. Received: {type(source).__name__}.")
    else:
        yield from ((Place("dataset[", number, "]"), row) for number, row in enumerate(source))


def _read_file(path: str) -> Iterator[Record]:
    file, session = to_file(path), ReadSession()
    if is_squad(file):
        for place, _, _, paragraph in read_paragraphs(file, session):
            for number, question in enumerate(paragraph.get("qas") or ()):
                here = Place(f"{place}.qas[", number, "]")
                row = to_row(question, paragraph["context"], here)
                impossible = bool(question.get("is_impossible"))
                answers = [] if impossible else zip(row["answers"], row["answer_starts"], strict=True)
                yield here, {**row, "answers": [{"text": text, "answer_start": start} for text, start in answers]}
        return
    ending = record_ending(file)
    if ending == ".jsonl":
        yield from read_json_lines(file, session)
    elif ending == ".parquet":
        for block in read_parquet(file, lambda names, place: names, session):
            yield from block_records(block)
    else:
        file.open(session.limits).close()  # raises: for a missing file, say so rather than complain about its name
        raise InputError(f"`dataset` must be {FORMS}. Received: {file}.")


def _to_question(row: Any, place: Place) -> Question:
    if isinstance(row, Question):
        return row
    if isinstance(row, tuple | list) and len(row) in (3, 4):
        given = {"text": row[2], "answer_start": row[3] if len(row) == 4 else None}
        row = {"question": row[0], "context": row[1], "answers": [given] if row[2] else []}
    if not isinstance(row, Mapping) or not {"question", "context"} <= set(row):
        raise InputError(f"{place}: expected {FORMS}. Received: {row!r:.80}.")
    question, context = (_check_text(row[name], name, place) for name in ("question", "context"))
    if "answers" not in row and "answer" not in row:
        raise InputError(
            f"{place}: expected `answers`, an empty list for a question that the context does not answer. Received: "
            f"{', '.join(map(str, row))}."
        )
    given = row["answers"] if "answers" in row else row["answer"]
    pairs = [] if row.get("is_impossible") else _read_answers(given, place)
    answers, starts = zip(*pairs, strict=True) if pairs else ((), ())
    id = row.get("id")
    return Question(question, context, answers, starts, str(place) if id is None else str(id))


def _read_answers(given: Any, place: Place) -> list[tuple[str, int | None]]:
    """Returns the answers with where each starts."""
    if given is None or (isinstance(given, str) and not given):
        return []
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        texts, starts = _to_list(given.get("text")), given.get("answer_start")
        starts = [None] * len(texts) if starts is None else _to_list(starts)
        if len(starts) != len(texts):
            raise InputError(f"{place}: `answers` must have a start for each text. Received: {given!r:.80}.")
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if isinstance(given, bytes) or not isinstance(given, Sequence | np.ndarray):
        raise InputError(f"{place}: `answers` must be texts with their starts. Received: {given!r:.80}.")
    # An empty text says that there is no answer, in a list of answers as alone.
    return [answer for answer in (_read_answer(one, place) for one in given) if answer[0].strip()]


def _to_list(values: Any) -> list[Any]:
    """Returns a column of a row's answers as a list; a single value is one, and None is none."""
    if values is None:
        return []
    return list(values) if isinstance(values, list | tuple | np.ndarray) else [values]


def _read_answer(one: Any, place: Place) -> tuple[str, int | None]:
    text, start = (one.get("text"), one.get("answer_start")) if isinstance(one, Mapping) else (one, None)
    is_place = isinstance(start, int | np.integer) and not isinstance(start, bool)
    if not isinstance(text, str) or not (start is None or is_place):
        raise InputError(
            f"{place}: an answer must be a text, with a whole number of characters before it. Received: {one!r:.80}."
        )
    return text, None if start is None else int(start)


def _check_text(value: Any, name: str, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Add a text, or leave the row out."
        )
    return value
