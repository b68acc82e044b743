"""The steps of an answer: passages are found, read, and the best spans cut out of their documents."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.answers import Answer
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.reading import Asked, read_all
from tfchain.tasks.question_answering.retrieval import FoundPassage, PassagePlaces, find_passages, read_text
from tfchain.tasks.question_answering.spans import Span
from tfchain.tasks.question_answering.windows import WindowMemory
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig

PASSAGES = 5  # that are read for a question


@dataclass(frozen=True)
class RetrieverParts:
    """What finds passages.

    Args:
        model: The retriever's text encoder.
        index: Its documents, at least one, with vectors of this model.
        passages: How documents are cut.
    """

    model: TextEncoder
    index: DocumentIndex
    passages: PassageConfig


def answer_questions(
    model: TextEncoder,
    retriever: RetrieverParts,
    questions: Sequence[str],
    options: ReadingOptions,
    *,
    threshold: float | None = None,
    top_k: int = 1,
    passages: int = PASSAGES,
    batch_size: int = 32,
    places: PassagePlaces | None = None,
    memory: WindowMemory | None = None,
    progress: bool | None = False,
) -> list[Answer]:
    """Answers questions from documents.

    Args:
        model: The reader.
        retriever: What finds passages.
        questions: The questions.
        options: How texts are read.
        threshold: The least margin of no answer; None if there is always an answer. Default: None.
        top_k: The most answers. Default: 1.
        passages: How many passages are read for a question. Default: 5.
        batch_size: The most texts in a step. Default: 32.
        places: Remembers where passages are. Default: they are found for this call.
        memory: Remembers windows. Default: they are cut for this call.
        progress: Whether to show a progress bar; None for when it takes more than a second. Default: False.
    """
    found = find_passages(
        retriever.model,
        retriever.index,
        questions,
        retriever.passages,
        top=passages,
        places=places or PassagePlaces(),
        batch_size=batch_size,
    )
    asked = [ask_passages(question, read) for question, read in zip(questions, found, strict=True)]
    spans = read_all(model, asked, options, top_k=top_k, batch_size=batch_size, memory=memory, progress=progress)
    return [
        _join([cut_answer(span, read) for span in each.choose(threshold, top_k)])
        for each, read in zip(spans, found, strict=True)
    ]


def ask_passages(question: str, passages: Sequence[FoundPassage]) -> Asked:
    """Returns a question with what is read, so that passages of the same document are known as such."""
    numbers = {id: number for number, id in enumerate(dict.fromkeys(passage.document.id for passage in passages))}
    places = [(numbers[passage.document.id], passage.start) for passage in passages]
    return Asked(question, [passage.text for passage in passages], places)


def read_context(
    model: TextEncoder,
    question: str,
    context: str,
    options: ReadingOptions,
    *,
    threshold: float | None = None,
    top_k: int = 1,
    batch_size: int = 32,
) -> Answer:
    """Answers a question from a text; see `answer_questions`."""
    (found,) = read_all(model, [Asked(question, [context])], options, top_k=top_k, batch_size=batch_size)
    return _join([cut_context(span, context) for span in found.choose(threshold, top_k)])


def cut_answer(span: Span, passages: Sequence[FoundPassage]) -> Answer:
    """Returns a span of passages as an answer."""
    if span.text < 0:
        return Answer("", span.score)
    passage = passages[span.text]
    text = read_text(passage.document)[span.start : span.end]
    return Answer(text, span.score, passage.document.id, span.start, span.end, passage.text)


def cut_context(span: Span, context: str) -> Answer:
    """Returns a span of a text as an answer."""
    if span.text < 0:
        return Answer("", span.score)
    return Answer(context[span.start : span.end], span.score, "", span.start, span.end, context)


def _join(answers: Sequence[Answer]) -> Answer:
    """Returns the first answer with the others."""
    return dataclasses.replace(answers[0], others=tuple(answers[1:])) if answers else Answer("", 0.0)
