"""Questions with Python's answers, which a version must give; not those that rounding could answer otherwise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.proof import Proof
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.models.precision import TOLERANCES
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.answers import Answer
from tfchain.tasks.question_answering.asking import RetrieverParts, ask_passages, cut_answer, cut_context
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.reading import Asked, read_all
from tfchain.tasks.question_answering.retrieval import PassagePlaces, find_passages
from tfchain.tasks.question_answering.spans import Spans
from tfchain.tasks.text_graph import to_array, to_bytes

QUESTION = "what does the text say?"


def prove_answers(
    model: TextEncoder,
    retriever: RetrieverParts,
    questions: Sequence[str],
    *,
    options: ReadingOptions,
    threshold: float | None,
    top_k: int,
    passages: int,
    tolerance: float,
) -> list[Proof]:
    """Returns the proof of `serving_default`; none if rounding could change every answer.

    Args:
        model: The reader, as the version has it.
        retriever: What finds passages, as the version has it.
        questions: The questions.
        options: How texts are read.
        threshold: The least margin of no answer.
        top_k: The number of answers.
        passages: How many passages are read.
        tolerance: The largest rounding error of the retriever's vectors.
    """
    places = PassagePlaces()
    found = find_passages(
        retriever.model, retriever.index, questions, retriever.passages, top=passages + 1, places=places
    )
    tolerance = max(tolerance, TOLERANCES[model.precision])
    asked, answers = [], []
    for question, listed in zip(questions, found, strict=True):
        is_cut = len(listed) > passages
        if is_cut and listed[passages - 1].score - listed[passages].score <= 2 * tolerance * max(1.0, listed[0].score):
            continue
        read = listed[:passages]
        (spans,) = read_all(model, [ask_passages(question, read)], options, top_k=top_k)
        if is_clear(spans, threshold, tolerance):
            asked.append(question)
            answers.append([cut_answer(span, read) for span in spans.choose(threshold, top_k)])
    if not asked:
        return []
    outputs = to_outputs(answers, top_k)
    return [Proof(SERVING_DEFAULT, {"text": to_array(asked)}, outputs, tolerance=tolerance)]


def prove_reader(
    model: TextEncoder,
    contexts: Sequence[str],
    *,
    options: ReadingOptions,
    threshold: float | None,
    top_k: int,
    tolerance: float,
    name: str,
) -> list[Proof]:
    """Returns the proof of the signature of a question and a text; none if rounding could change every answer.

    Args:
        model: The reader, as the version has it.
        contexts: The texts.
        options: How texts are read.
        threshold: The least margin of no answer.
        top_k: The number of answers.
        tolerance: The largest rounding error of the version's other encoder.
        name: The signature's name.
    """
    tolerance = max(tolerance, TOLERANCES[model.precision])
    long = " ".join(contexts) * 3  # of several windows, for most models
    asked, answers = [], []
    for context in [*contexts, long]:
        (spans,) = read_all(model, [Asked(QUESTION, [context])], options, top_k=top_k)
        if is_clear(spans, threshold, tolerance):
            asked.append(context)
            answers.append([cut_context(span, context) for span in spans.choose(threshold, top_k)])
    if not asked:
        return []
    outputs = to_outputs(answers, top_k)
    inputs = {"question": to_array([QUESTION] * len(asked)), "context": to_array(asked)}
    kept = {part: outputs[part] for part in ("answers", "scores", "starts", "ends")}
    return [Proof(name, inputs, kept, tolerance=tolerance)]


def is_clear(spans: Spans, threshold: float | None, tolerance: float) -> bool:
    """Returns whether rounding cannot change which spans are found, and whether there is an answer.

    Args:
        spans: What was found.
        threshold: The least margin of no answer.
        tolerance: The largest rounding error of a logit, relative to the largest if that is above 1.
    """
    if not spans.best:
        return True
    room = 4 * tolerance * max(1.0, abs(spans.best[0].logit))  # a span has two logits, and so has the one beside it
    is_near = threshold is not None and abs(spans.margin - threshold) <= room
    return not is_near and all(span.lead > room for span in spans.best)


def to_outputs(answers: Sequence[Sequence[Answer]], top_k: int) -> dict[str, np.ndarray]:
    """Returns answers as a version gives them, `(questions, top_k)`, with blanks where there are fewer."""
    filled = [[*row, *[Answer("", 0.0)] * (top_k - len(row))] for row in answers]

    def texts(name: str) -> np.ndarray:
        table = np.empty((len(filled), top_k), dtype=object)
        for number, row in enumerate(filled):
            table[number] = [to_bytes(getattr(one, name)) for one in row]
        return table

    def numbers(name: str, kind: Any) -> np.ndarray:
        return np.array([[getattr(one, name) for one in row] for row in filled], dtype=kind)

    return {
        "answers": texts("text"),
        "scores": numbers("score", "float32"),
        "ids": texts("id"),
        "starts": numbers("start", "int32"),
        "ends": numbers("end", "int32"),
        "passages": texts("passage"),
    }
