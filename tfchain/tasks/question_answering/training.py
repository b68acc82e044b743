"""Makes the rows that a reader is trained on: windows with the places of the answer's tokens."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR, PairTokenizer, join_pair
from tfchain.tasks.question_answering.alignment import find_misaligned, find_span, report_misaligned
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.windows import Window, check_tokenizer, cut_windows, find_rooms
from tfchain.training.fit.options import FitOptions
from tfchain.training.losses.spans import SpanLoss

logger = logging.getLogger(__name__)

MOST_DISTANCE = 100  # contexts between a question's own and one that is shown with it


def make_training_rows(
    model: TextEncoder, questions: Sequence[Question], options: ReadingOptions, fit: FitOptions
) -> tuple[Pairs, SpanLoss]:
    """Returns a row for each question and each window of its context, and their loss.

    A window that does not hold the whole answer teaches that there is none, as do contexts without an answer, and the
    distractors that the options ask for. Questions whose answers are not where the data says are left out, with a
    warning.

    Args:
        model: The reader.
        questions: The questions.
        options: How texts are read.
        fit: The options of the training.

    Raises:
        InputError: if an option does not suit a reader, or no question can be trained on.
    """
    loss = _find_loss(fit)
    misaligned = find_misaligned(questions)
    report_misaligned(misaligned, len(questions))
    wrong = {id(question) for question in questions if question.is_answerable and find_span(question) is None}
    kept = [question for question in questions if id(question) not in wrong]
    if not kept:
        raise InputError(
            f"`dataset` must have a question whose answer is where the data says. Received: {len(questions)} "
            "questions, none with one. Check `answer_start`, which counts characters from 0."
        )
    tokenizer = check_tokenizer(model.tokenizer)
    windows = cut_contexts(tokenizer, [question.context for question in kept], options)
    texts: list[str] = []
    spans: list[tuple[int, int] | None] = []
    for question, others in zip(kept, choose_distractors(kept, options.distractors), strict=True):
        asked, span = _shorten(tokenizer, question.question, options), find_span(question)
        for context in (question.context, *others):
            for window in windows[context]:
                first, last = window.span
                texts.append(join_pair(asked, context[first:last].replace(PAIR, " ")))
                is_own = context is question.context and span is not None
                is_inside = is_own and span is not None and first <= span[0] and span[1] <= last
                spans.append((span[0] - first, span[1] - first) if is_inside and span is not None else None)
    labels = find_labels(tokenizer, texts, spans)
    logger.info(
        "%d questions have %d windows, %d with an answer.", len(kept), len(texts), int(labels[:, 0].astype(bool).sum())
    )
    loss.check(1, labels)
    return Pairs((texts,), labels=labels, symmetric=True), loss


def cut_contexts(tokenizer: PairTokenizer, contexts: Sequence[str], options: ReadingOptions) -> dict[str, list[Window]]:
    """Returns the windows of each context.

    Args:
        tokenizer: A reader's tokenizer.
        contexts: The contexts.
        options: How texts are read.
    """
    distinct = list(dict.fromkeys(contexts))
    return dict(zip(distinct, cut_windows(tokenizer, distinct, options), strict=True))


def choose_distractors(questions: Sequence[Question], count: int) -> list[list[str]]:
    """Returns contexts that do not answer a question, for each: near its own, and without any of its answers.

    Args:
        questions: The questions.
        count: How many contexts each gets, if there are as many.
    """
    contexts = list(dict.fromkeys(question.context for question in questions))
    places = {context: place for place, context in enumerate(contexts)}
    chosen = []
    for question in questions:
        own, found = places[question.context], list[str]()
        for distance in range(1, len(contexts) if count else 1):
            for place in (own - distance, own + distance):
                is_other = 0 <= place < len(contexts) and len(found) < count
                if is_other and not any(answer and answer in contexts[place] for answer in question.answers):
                    found.append(contexts[place])
            if len(found) >= count or distance > MOST_DISTANCE:
                break
        chosen.append(found)
    return chosen


def find_labels(tokenizer: PairTokenizer, texts: Sequence[str], spans: Sequence[tuple[int, int] | None]) -> np.ndarray:
    """Returns the labels of joined pairs, float32 `(texts, 3)`; see `SpanLoss`.

    Args:
        tokenizer: A reader's tokenizer.
        texts: Joined pairs.
        spans: Where the answer starts and ends in each second text, in characters; None for no answer. So it is, too,
            if the text is cut off before its end.
    """
    labels = np.zeros((len(texts), 3), dtype="float32")
    for row, (encoding, span) in enumerate(zip(tokenizer.encode_pairs(texts), spans, strict=True)):
        labels[row, 2] = len(encoding.ids)
        if span is None:
            continue
        sequence, offsets = (
            np.array([-1 if one is None else one for one in encoding.sequence_ids]),
            np.array(encoding.offsets),
        )
        touched = np.flatnonzero((sequence == 1) & (offsets[:, 0] < span[1]) & (offsets[:, 1] > span[0]))
        own = np.flatnonzero(sequence == 1)
        # The answer's last characters must be there: a white space or a character without a token may follow it.
        is_cut = not len(touched) or (
            touched[-1] == own[-1] and offsets[own[-1], 1] < span[1] and _is_full(tokenizer, encoding)
        )
        if not is_cut:
            labels[row, :2] = touched[0], touched[-1]
    return labels


def _is_full(tokenizer: PairTokenizer, encoding: Any) -> bool:
    return len(encoding.ids) >= tokenizer.max_length


def _shorten(tokenizer: PairTokenizer, question: str, options: ReadingOptions) -> str:
    """Returns as much of a question as is read."""
    most = find_rooms(tokenizer, options).question
    encoding = tokenizer.whole.encode(question.replace(PAIR, ""), add_special_tokens=False)
    return question if len(encoding.ids) <= most else question[: encoding.offsets[most - 1][1]]


def _find_loss(fit: FitOptions) -> SpanLoss:
    if fit.loss is not None and not isinstance(fit.loss, SpanLoss):
        raise InputError(f"A reader has its own loss. Received: loss={fit.loss!r:.80}. Leave it out.", argument="loss")
    if fit.mining is not None:
        raise InputError(
            "`mining` finds documents for queries, and a reader reads the context of each question. Received: a Mining."
            " Give the chain's retriever the pairs: chain.retriever.fit(pairs, mining=...).",
            argument="mining",
        )
    if fit.augment:
        raise InputError(
            "`augment` moves words, and an answer's place is counted in characters. Run the steps on the rows first.",
            argument="augment",
        )
    return fit.loss or SpanLoss()
