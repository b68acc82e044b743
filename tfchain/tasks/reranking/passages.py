"""Documents cut into passages for a cross-encoder, each short enough to stand beside a query."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.types import Document
from tfchain.data.documents.passages import split_all
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.pairs import PairTokenizer

MOST_QUERY_TOKENS = 64  # kept free beside a passage; of a longer query and its passage, the longer one is truncated

MOST_TOKENS = 8_000_000


@dataclass(frozen=True)
class PassageTokens:
    """The token ids of documents' passages, without special tokens.

    Args:
        ids: The ids of all passages in a row, int32 `(tokens,)`.
        starts: Where each passage starts, and the end, int64 `(passages + 1,)`.
        firsts: The first passage of each document, and the end, int64 `(documents + 1,)`.
    """

    ids: np.ndarray
    starts: np.ndarray
    firsts: np.ndarray

    def take(self, document: int) -> list[list[int]]:
        """Returns the ids of a document's passages."""
        bounds = self.starts[self.firsts[document] : self.firsts[document + 1] + 1].tolist()
        return [self.ids[start:end].tolist() for start, end in itertools.pairwise(bounds)]


def cut_documents(tokenizer: HostTokenizer, documents: Sequence[str]) -> list[list[str]]:
    """Cuts documents into overlapping passages; a document that fits is its own passage.

    The room does not depend on the query, so that passages can be cut once: a quarter of the maximum length, at most
    `MOST_QUERY_TOKENS`, is kept free for it.

    Args:
        tokenizer: A cross-encoder's tokenizer.
        documents: The documents' texts.
    """
    assert isinstance(tokenizer, PairTokenizer)  # of a cross-encoder
    whole = tokenizer.max_length - tokenizer.num_pair_tokens
    room = max(whole - min(MOST_QUERY_TOKENS, whole // 4), 1)
    named = [Document(str(number), text) for number, text in enumerate(documents)]
    cuts = split_all(named, count_tokens=tokenizer.count_tokens, max_tokens=room, overlap_tokens=room // 10)
    return [[passage.text for passage in cut] or [text] for cut, text in zip(cuts, documents, strict=True)]


def tokenize_passages(tokenizer: HostTokenizer, documents: Sequence[str]) -> PassageTokens:
    """Cuts documents into passages, and tokenizes these.

    Args:
        tokenizer: A cross-encoder's tokenizer.
        documents: The documents' texts.
    """
    assert isinstance(tokenizer, PairTokenizer)
    cuts = cut_documents(tokenizer, documents)
    ids = tokenizer.find_ids([passage for cut in cuts for passage in cut])
    return PassageTokens(
        ids=np.array([number for row in ids for number in row], dtype="int32"),
        starts=np.cumsum([0, *map(len, ids)], dtype="int64"),
        firsts=np.cumsum([0, *map(len, cuts)], dtype="int64"),
    )


class PassageMemory:
    """Remembers the token ids of documents' passages by their text: cutting takes as long as a small model's answer.

    Threads may share it. It is emptied when it is full, or asked for another tokenizer.

    Args:
        most_tokens: How many tokens it holds. Default: 8 million, 32 MB.
    """

    def __init__(self, most_tokens: int = MOST_TOKENS) -> None:
        self._most_tokens = most_tokens
        self._lock = threading.Lock()
        self._key: tuple[Any, int] | None = None
        self._known: dict[str, list[np.ndarray]] = {}
        self._tokens = 0

    def find(self, tokenizer: HostTokenizer, documents: Sequence[str]) -> list[list[np.ndarray]]:
        """Returns the ids of each document's passages, without special tokens.

        Args:
            tokenizer: A cross-encoder's tokenizer.
            documents: The documents' texts.
        """
        with self._lock:
            key = (tokenizer.source, tokenizer.max_length)
            if self._key != key or self._tokens > self._most_tokens:
                self._key, self._known, self._tokens = key, {}, 0
            known = self._known
        missing = list(dict.fromkeys(text for text in documents if text not in known))
        found = {text: known[text] for text in documents if text in known}
        if missing:
            made = tokenize_passages(tokenizer, missing)
            found |= {text: [np.array(ids, "int32") for ids in made.take(row)] for row, text in enumerate(missing)}
            with self._lock:
                if self._known is known:
                    known.update((text, found[text]) for text in missing)
                    self._tokens += len(made.ids)
        return [found[text] for text in documents]
