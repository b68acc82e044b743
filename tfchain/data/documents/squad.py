"""SQuAD-like JSON (SQuAD, CMRC 2018, DRCD, …): paragraphs as documents, questions as rows."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import DataFile
from tfchain.data.files.lines import decode
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession

logger = logging.getLogger(__name__)

ENDING = ".json"
FORM = (
    "a SQuAD-like file: {'data': [{'title': …, 'paragraphs': [{'context': …, 'qas': [{'question': …, 'answers': "
    "[{'text': …, 'answer_start': …}]}]}]}]}"
)


def is_squad(file: DataFile) -> bool:
    """Returns whether a file's name is that of one JSON document."""
    return file.ending == ENDING


def read_squad_documents(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the paragraphs of a SQuAD-like file as documents.

    Yields:
        The place and a dict of `id` (the paragraph's own, else the article's title or number and the paragraph's
        number: `Oxygen/3`), `title` and `text`.

    Raises:
        InputError: if the file is not SQuAD-like.
    """
    for place, title, id, paragraph in read_paragraphs(file, session):
        yield place, {"id": id, "title": title, "text": paragraph["context"]}


def read_squad_rows(file: DataFile, session: ReadSession) -> Iterator[Record]:
    """Reads the questions of a SQuAD-like file as rows.

    Questions marked as impossible, which their paragraph does not answer, are left out and counted in one log line.

    Yields:
        The place and a dict of `id`, `question`, `context`, `title`, `document_id`, `answers` (texts) and
        `answer_starts` (offsets in `context` as the file has them, None where it has none).

    Raises:
        InputError: if the file is not SQuAD-like.
    """
    impossible = 0
    for place, title, document_id, paragraph in read_paragraphs(file, session):
        for number, question in enumerate(paragraph.get("qas") or ()):
            here = Place(f"{place}.qas[", number, "]")
            try:
                row = to_row(question, paragraph["context"], here)
            except InputError as error:
                session.reject(error, here, question)
                continue
            if question.get("is_impossible"):
                impossible += 1
            else:
                yield here, {**row, "title": title, "document_id": document_id}
    if impossible:
        logger.info("%s: left out %d questions that their paragraph does not answer.", file, impossible)


def to_row(question: Any, context: str, place: Place) -> dict[str, Any]:
    """Returns a question as a row."""
    if not isinstance(question, Mapping) or not isinstance(question.get("question"), str):
        raise InputError(f"{place}: expected a question, as in {FORM}. Received: {question!r:.60}.")
    answers = question.get("answers") or ()
    if not isinstance(answers, list | tuple) or not all(isinstance(answer, Mapping) for answer in answers):
        raise InputError(f"{place}: `answers` must be a list of dicts. Received: {answers!r:.60}.")
    return {
        "id": str(question.get("id", "")) or None,
        "question": question["question"],
        "context": context,
        "answers": [answer.get("text", "") for answer in answers],
        "answer_starts": [answer.get("answer_start") for answer in answers],
    }


def read_paragraphs(file: DataFile, session: ReadSession) -> Iterator[tuple[Place, str, str, Mapping[str, Any]]]:
    """Yields each paragraph's place, the title above it, its id, and itself; it has a `context`."""
    text = decode(file.read(session.limits), file.label)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: broken JSON: {error}. Expected {FORM}.") from None
    articles = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(articles, list) or not all(
        isinstance(article, Mapping) and isinstance(article.get("paragraphs"), list) for article in articles
    ):
        raise InputError(
            f"{file}: expected {FORM}. Received: {text.strip()[:60]!r}…. A file of other JSON must be rewritten with "
            "one object per line, as .jsonl."
        )
    for article_number, article in enumerate(articles):
        title = article.get("title")
        title = title if isinstance(title, str) else ""
        for number, paragraph in enumerate(article["paragraphs"]):
            place = Place(f"{file}, data[{article_number}].paragraphs[", number, "]")
            if not isinstance(paragraph, Mapping) or not isinstance(paragraph.get("context"), str):
                message = f"{place}: expected a paragraph with a `context`. Received: {paragraph!r:.60}."
                session.reject(InputError(message), place, paragraph)
                continue
            own = paragraph.get("id", paragraph.get("context_id"))
            yield place, title, str(own) if own else f"{title or article_number}/{number}", paragraph
