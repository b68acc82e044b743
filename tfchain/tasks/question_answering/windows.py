"""Texts as windows of tokens, each short enough to stand beside a question, and where each token is in the text."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.pairs import PAIR, PairTokenizer
from tfchain.tasks.question_answering.options import ReadingOptions

MOST_TOKENS = 8_000_000
LEAST_ROOM = 4  # tokens of a window


@dataclass(frozen=True)
class Window:
    """A part of a text as tokens.

    Args:
        ids: The tokens' ids, int32 `(tokens,)`, without special tokens.
        starts: Where each token starts in the text, in characters, int32 `(tokens,)`.
        ends: Where each ends.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @property
    def span(self) -> tuple[int, int]:
        """Where the window's text starts and ends."""
        return (int(self.starts[0]), int(self.ends[-1])) if len(self.ids) else (0, 0)


@dataclass(frozen=True)
class Rooms:
    """How many tokens of a question and of a text fit into the model together.

    Args:
        question: The most tokens of a question.
        window: The most tokens of a window.
        shared: The tokens that two neighbouring windows share.
    """

    question: int
    window: int
    shared: int


def check_tokenizer(tokenizer: HostTokenizer) -> PairTokenizer:
    """Returns a reader's tokenizer.

    Raises:
        InputError: if it does not say where a token is in the text.
    """
    if not isinstance(tokenizer, PairTokenizer) or tokenizer.whole is None:
        raise InputError(
            "A reader needs a tokenizer of the `tokenizers` package (a fast one), which says where each token is in "
            f"the text. Received: {type(tokenizer.source).__name__}. Add a tokenizer.json to the model's folder."
        )
    return tokenizer


def find_rooms(tokenizer: PairTokenizer, options: ReadingOptions) -> Rooms:
    """Returns how many tokens there are for a question and for a window.

    Args:
        tokenizer: A reader's tokenizer.
        options: How texts are read.
    """
    whole = tokenizer.max_length - tokenizer.num_pair_tokens
    question = min(options.max_question_tokens, max(whole // 4, 1))
    window = max(whole - question, LEAST_ROOM)
    return Rooms(question, window, min(options.stride, window // 2))


def cut_windows(tokenizer: PairTokenizer, texts: Sequence[str], options: ReadingOptions) -> list[list[Window]]:
    """Cuts texts into overlapping windows; a text that fits is one, and a text without a token is one without tokens.

    Windows begin and end between words, where a word is not longer than what they share.

    Args:
        tokenizer: A reader's tokenizer.
        texts: The texts.
        options: How texts are read.
    """
    rooms = find_rooms(tokenizer, options)
    encodings = tokenizer.whole.encode_batch([text.replace(PAIR, " ") for text in texts], add_special_tokens=False)
    return [
        [_take(ids, starts, ends, *bounds) for bounds in _find_bounds(len(ids), encoding.word_ids, rooms)]
        for encoding, (ids, starts, ends) in (
            (encoding, _read(encoding, text)) for encoding, text in zip(encodings, texts, strict=True)
        )
    ]


def find_question_ids(tokenizer: PairTokenizer, question: str, options: ReadingOptions) -> list[int]:
    """Returns the ids of a question's tokens, as many as are read.

    Args:
        tokenizer: A reader's tokenizer.
        question: The question.
        options: How texts are read.
    """
    return tokenizer.find_ids([question.replace(PAIR, "")])[0][: find_rooms(tokenizer, options).question]


def _read(encoding: Any, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a text's tokens: their ids, starts and ends; white space at either end of a token is left out."""
    offsets = np.array(encoding.offsets, dtype="int32").reshape(-1, 2)
    for row, (start, end) in enumerate(offsets.tolist()):
        part = text[start:end]
        if part[:1].isspace() or part[-1:].isspace():
            stripped = part.strip()
            start += len(part) - len(part.lstrip()) if stripped else 0
            offsets[row] = start, start + len(stripped)
    return np.array(encoding.ids, dtype="int32"), offsets[:, 0], offsets[:, 1]


def _take(ids: np.ndarray, starts: np.ndarray, ends: np.ndarray, first: int, last: int) -> Window:
    return Window(ids[first:last], starts[first:last], ends[first:last])


def _find_bounds(count: int, words: Sequence[int | None], rooms: Rooms) -> Iterator[tuple[int, int]]:
    """Yields the first token of each window, and the one behind its last."""
    first = 0
    while True:
        last = first + rooms.window
        if last >= count:
            yield first, count
            return
        last = _step_back(words, last, last - rooms.shared // 2)
        yield first, last
        # What both may step back adds up to less than what is new in a window, so each ends further on.
        place = max(last - rooms.shared, first + 1)
        first = _step_back(words, place, max(first + 1, place - rooms.shared // 2))


def _step_back(words: Sequence[int | None], place: int, least: int) -> int:
    """Returns the place of the first token of the word at a place, if it is not before the least one."""
    found = place
    while found > least and words[found] is not None and words[found] == words[found - 1]:
        found -= 1
    inside = words[found] is not None and words[found] == words[found - 1]
    return place if inside else found


class WindowMemory:
    """Remembers the windows of texts: cutting takes as long as a small model's answer. Threads may share it.

    It is emptied when it is full, or asked for another tokenizer.

    Args:
        most_tokens: How many tokens it holds. Default: 8 million, 96 MB.
    """

    def __init__(self, most_tokens: int = MOST_TOKENS) -> None:
        self._most_tokens = most_tokens
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] | None = None
        self._known: dict[str, list[Window]] = {}
        self._tokens = 0

    def find(self, tokenizer: PairTokenizer, texts: Sequence[str], options: ReadingOptions) -> list[list[Window]]:
        """Returns the windows of texts.

        Args:
            tokenizer: A reader's tokenizer.
            texts: The texts.
            options: How texts are read.
        """
        with self._lock:
            key = (tokenizer.source, tokenizer.max_length, options)
            if self._key != key or self._tokens > self._most_tokens:
                self._key, self._known, self._tokens = key, {}, 0
            known = self._known
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        found = {text: known[text] for text in texts if text in known}
        if missing:
            made = dict(zip(missing, cut_windows(tokenizer, missing, options), strict=True))
            found |= made
            with self._lock:
                if self._known is known:
                    known.update(made)
                    self._tokens += sum(len(window.ids) for windows in made.values() for window in windows)
        return [found[text] for text in texts]
