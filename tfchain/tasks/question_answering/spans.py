"""From the logits of windows to answers: the best spans, without overlaps, on one scale over all windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ReadWindow:
    """A window that a reader has read.

    Args:
        start: The logits of each of the window's tokens to start the answer, float32 `(tokens,)`.
        end: Those to end it.
        null_logits: The two logits of the token before the question: that there is no answer here.
        starts: Where each token starts in the document, in characters, int32 `(tokens,)`.
        ends: Where each ends.
        text: The number of the text that the window is of. Default: 0.
        document: The number of the document that the text is of. Default: 0.
    """

    start: np.ndarray
    end: np.ndarray
    null_logits: tuple[float, float]
    starts: np.ndarray
    ends: np.ndarray
    text: int = 0
    document: int = 0

    @property
    def null(self) -> float:
        """The logits of no answer, added."""
        return float(np.float32(self.null_logits[0]) + np.float32(self.null_logits[1]))


@dataclass(frozen=True)
class Span:
    """An answer as a place in a document.

    Args:
        text: The number of the text that it was found in; -1 if there is no answer.
        start: Where it starts in the text's document, in characters.
        end: Where it ends.
        logit: The logits of its first and its last token, added.
        score: Its probability among all starts and all ends of all windows, from 0 to 1.
        lead: By how much its logit is above that of the next span, which may overlap it.
    """

    text: int
    start: int
    end: int
    logit: float
    score: float
    lead: float = np.inf


@dataclass(frozen=True)
class Spans:
    """What is found in the windows of a question.

    Args:
        best: The best spans, best first, none of which overlaps another.
        null: The span of no answer: of the window that is least sure of it, as SQuAD 2.0 compares.
        margin: By how much the logit of no answer is above the best span's.
    """

    best: tuple[Span, ...]
    null: Span
    margin: float

    def choose(self, threshold: float | None, top_k: int) -> list[Span]:
        """Returns the answers, best first: no answer comes first if its margin is above a threshold.

        Args:
            threshold: The least margin; None if there is always an answer.
            top_k: The most answers.
        """
        has_none = not self.best or (threshold is not None and self.margin > threshold)
        return [*([self.null] if has_none else []), *self.best][:top_k]


def find_spans(windows: Sequence[ReadWindow], *, top_k: int, max_tokens: int) -> Spans:
    """Finds the best spans of windows.

    A span's logit is the sum of its first token's logit to start and its last token's logit to end. Windows are
    compared by these, as they are: the probabilities are of one softmax over all windows' tokens, the one before the
    question among them (as in "shared normalisation": Clark and Gardner 2018, https://arxiv.org/abs/1710.10723).

    Args:
        windows: The windows of all texts of a question, at least one.
        top_k: The most spans.
        max_tokens: The most tokens of a span.
    """
    logits, starts, ends, rows = _list_candidates(windows, max_tokens)
    documents = np.array([window.document for window in windows])[rows]
    normalizer = sum(
        _log_sum([np.append(values, null) for values, null in pairs])
        for pairs in (
            [(window.start, window.null_logits[0]) for window in windows],
            [(window.end, window.null_logits[1]) for window in windows],
        )
    )
    null = min(window.null for window in windows)
    free = np.isfinite(logits)
    best: list[Span] = []
    while len(best) < top_k and free.any():
        allowed = np.where(free, logits, -np.inf)
        place = int(allowed.argmax())
        logit = float(allowed[place])
        others = np.delete(allowed, place)
        lead = logit - float(others.max(initial=-np.inf))
        start, end, row = int(starts[place]), int(ends[place]), int(rows[place])
        score = float(np.exp(logit - normalizer))
        best.append(Span(windows[row].text, start, end, logit, score, lead))
        free &= (documents != windows[row].document) | (starts >= end) | (ends <= start)
    no_answer = Span(-1, -1, -1, null, float(np.exp(null - normalizer)))
    return Spans(tuple(best), no_answer, null - best[0].logit if best else np.inf)


def _list_candidates(
    windows: Sequence[ReadWindow], max_tokens: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns all spans: their logits, starts, ends and windows' numbers, `(windows · tokens · lengths,)` each."""
    width = max(len(window.start) for window in windows)
    shape = (len(windows), width, min(max_tokens, max(width, 1)))
    logits = np.full(shape, -np.inf, dtype="float32")
    starts, ends, rows = (np.zeros(shape, dtype="int32") for _ in range(3))
    for row, window in enumerate(windows):
        count = len(window.start)
        rows[row] = row
        for length in range(min(shape[2], count)):
            kept = count - length
            logits[row, :kept, length] = window.start[:kept] + window.end[length:]
            starts[row, :kept, length] = window.starts[:kept]
            ends[row, :kept, length] = window.ends[length:]
    logits[ends <= starts] = -np.inf  # of white space alone
    return logits.ravel(), starts.ravel(), ends.ravel(), rows.ravel()


def _log_sum(parts: Sequence[np.ndarray]) -> float:
    values = np.concatenate(parts).astype("float64")
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))
