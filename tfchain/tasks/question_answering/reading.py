"""Reads: a question and texts to the best spans in them, with the model's run in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.progress import show_progress
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.spans import ReadWindow, Spans, find_spans
from tfchain.tasks.question_answering.windows import Window, WindowMemory, check_tokenizer, find_question_ids

READ_AT_ONCE = 512  # questions, whose logits are in memory together


@dataclass(frozen=True)
class Asked:
    """A question and the texts that may answer it.

    Args:
        question: The question.
        texts: The texts, most promising first.
        places: Of each text, the number of its document, and where it starts there, in characters. Default: each is a
            document.
    """

    question: str
    texts: Sequence[str]
    places: Sequence[tuple[int, int]] | None = None


def read_all(
    model: TextEncoder,
    asked: Sequence[Asked],
    options: ReadingOptions,
    *,
    top_k: int = 1,
    batch_size: int = 32,
    memory: WindowMemory | None = None,
    progress: bool | None = False,
) -> list[Spans]:
    """Reads the texts of questions.

    Args:
        model: A reader.
        asked: The questions with their texts.
        options: How texts are read.
        top_k: The most spans of a question. Default: 1.
        batch_size: The most windows in a step. Default: 32.
        memory: Remembers windows from call to call. Default: they are cut for this one.
        progress: Whether to show a progress bar; None for when it takes more than a second. Default: False.

    Returns:
        The best spans of each question; their offsets are of characters in the document of the text that they name
        by its number.
    """
    memory = memory or WindowMemory()
    found: list[Spans] = []
    with show_progress(len(asked), "reading", shown=progress) as advance:
        for first in range(0, len(asked), READ_AT_ONCE):
            part = asked[first : first + READ_AT_ONCE]
            for windows in _read_part(model, part, options, batch_size, memory):
                found.append(find_spans(windows, top_k=top_k, max_tokens=options.max_answer_tokens))
            advance(len(part))
    return found


def _read_part(
    model: TextEncoder, asked: Sequence[Asked], options: ReadingOptions, batch_size: int, memory: WindowMemory
) -> list[list[ReadWindow]]:
    tokenizer = check_tokenizer(model.tokenizer)
    texts = list(dict.fromkeys(text for one in asked for text in one.texts))
    windows = dict(zip(texts, memory.find(tokenizer, texts, options), strict=True))
    token_ids: list[list[int]] = []
    places: list[tuple[int, int, int, Window]] = []  # of each row: question, text, the window's first token, the window
    before = len(tokenizer.template.before) + len(tokenizer.template.between)
    for number, one in enumerate(asked):
        ids = find_question_ids(tokenizer, one.question, options)
        for text_number, text in enumerate(one.texts):
            for window in windows[text]:
                token_ids.append(tokenizer.join_ids(ids, window.ids.tolist()))
                places.append((number, text_number, before + len(ids), window))
    with model.unchanged():
        model.notice_changes()
        outputs = model.runner(token_ids, batch_size=batch_size)
    logits = outputs.reshape(len(outputs), -1, 2)
    read: list[list[ReadWindow]] = [[] for _ in asked]
    for row, (number, text_number, begin, window) in zip(logits, places, strict=True):
        given = asked[number].places
        document, offset = (text_number, 0) if given is None else given[text_number]
        read[number].append(take_window(row, begin, window, text=text_number, document=document, offset=offset))
    return read


def take_window(
    logits: np.ndarray, begin: int, window: Window, *, text: int = 0, document: int = 0, offset: int = 0
) -> ReadWindow:
    """Takes the logits of a window's tokens out of a pair's.

    Args:
        logits: The logits of all tokens of the pair, float32 `(tokens, 2)`.
        begin: The place of the window's first token.
        window: The window.
        text: The number of the text that it is of. Default: 0.
        document: The number of the text's document. Default: 0.
        offset: Where the text starts in its document, in characters. Default: 0.
    """
    own = logits[begin : begin + len(window.ids)]
    null = (float(logits[0, 0]), float(logits[0, 1]))
    starts, ends = window.starts + offset, window.ends + offset
    return ReadWindow(own[:, 0], own[:, 1], null, starts[: len(own)], ends[: len(own)], text, document)
