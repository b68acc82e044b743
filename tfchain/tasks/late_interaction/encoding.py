"""Texts to the vectors of their tokens: queries, documents cut into passages, and a memory of what a search found."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.progress import show_progress
from tfchain.core.types import Document
from tfchain.data.documents.passages import split_all
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_roles import Role
from tfchain.tasks.late_interaction.maxsim import TokenVectors, join_vectors, split_matrices, take_texts
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.late_interaction.token_pooling import pool_texts

MOST_MATRIX_BYTES = 64 * 2**20  # of the encoder's output at once, zeros included
MOST_MEMORY_BYTES = 512 * 2**20
EXACT = LateOptions(storage="float32")


def is_late(model: TextEncoder) -> bool:
    """Returns whether a text encoder is one of late interaction, whose vectors are matrices of token vectors."""
    return model.config is not None and model.config.transformer.has_token_flags


def encode_tokens(
    model: TextEncoder,
    texts: Sequence[str],
    role: Role,
    *,
    options: LateOptions = EXACT,
    batch_size: int = 32,
    progress: bool | None = False,
) -> TokenVectors:
    """Returns the vectors of the tokens of texts.

    Args:
        model: A text encoder of late interaction.
        texts: The texts.
        role: `query` or `document`.
        options: How tokens are pooled and kept. Default: all of them, in float32.
        batch_size: The most texts in a step. Default: 32.
        progress: Whether to show a progress bar; None for when it takes more than a second. Default: False.
    """
    assert model.config is not None  # of late interaction
    dim = model.config.vector_dim
    encode = model.encode_query if role == "query" else model.encode_document
    step = max(1, MOST_MATRIX_BYTES // (4 * model.embedding_dim))
    parts = []
    with show_progress(len(texts), "encoding", shown=progress) as advance:
        for start in range(0, len(texts), step):
            part = list(texts[start : start + step])
            found = split_matrices(encode(part, batch_size=batch_size, progress=False), dim)
            parts.append(pool_texts(found, options.pool_factor).store(options.storage))
            advance(len(part))
    return join_vectors(parts, dim)


def cut_documents(model: TextEncoder, documents: Sequence[str]) -> list[list[str]]:
    """Cuts documents into overlapping passages, each short enough to be encoded whole.

    Args:
        model: A text encoder of late interaction.
        documents: The documents' texts.
    """
    tokenizer, prompt = model.document_tokenizer, model.document_prompt
    room = max(tokenizer.content_length - sum(tokenizer.count_tokens([prompt])), 1)
    named = [Document(str(number), text) for number, text in enumerate(documents)]
    cuts = split_all(named, count_tokens=tokenizer.count_tokens, max_tokens=room, overlap_tokens=room // 10)
    return [[passage.text for passage in cut] or [text] for cut, text in zip(cuts, documents, strict=True)]


def encode_documents(
    model: TextEncoder,
    documents: Sequence[str],
    options: LateOptions,
    *,
    batch_size: int = 32,
    progress: bool | None = False,
) -> tuple[TokenVectors, np.ndarray]:
    """Returns the vectors of documents' passages, and which passages are whose.

    Args:
        model: A text encoder of late interaction.
        documents: The documents' texts.
        options: How the vectors are kept.
        batch_size: The most texts in a step. Default: 32.
        progress: As in `encode_tokens`. Default: False.

    Returns:
        The passages' vectors, and the first passage of each document, and the end, int64 `(documents + 1,)`.
    """
    cuts = cut_documents(model, documents)
    passages = [passage for cut in cuts for passage in cut]
    vectors = encode_tokens(model, passages, "document", options=options, batch_size=batch_size, progress=progress)
    return vectors, np.cumsum([0, *map(len, cuts)], dtype="int64")


class TokenMemory:
    """Remembers the token vectors of documents by their text, so that each is encoded once.

    Threads may share it. It is emptied when it is full, or asked for another model.

    Args:
        most_bytes: The most memory of the vectors. Default: 512 MB.
    """

    def __init__(self, most_bytes: int = MOST_MEMORY_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] | None = None
        self._known: dict[str, TokenVectors] = {}
        self._bytes = 0

    def find(
        self, model: TextEncoder, documents: Sequence[str], options: LateOptions, batch_size: int = 32
    ) -> list[TokenVectors]:
        """Returns the vectors of each document's passages.

        Args:
            model: A text encoder of late interaction.
            documents: The documents' texts.
            options: How the vectors are kept.
            batch_size: The most texts in a step. Default: 32.
        """
        known = self._start(model, options)
        missing = list(dict.fromkeys(text for text in documents if text not in known))
        found = {text: known[text] for text in documents if text in known}
        if missing:
            vectors, firsts = encode_documents(model, missing, options, batch_size=batch_size)
            made = {text: take_texts(vectors, firsts[row], firsts[row + 1]) for row, text in enumerate(missing)}
            found |= made
            self._keep(known, made)
        return [found[text] for text in documents]

    def fill(
        self,
        model: TextEncoder,
        documents: Sequence[str],
        options: LateOptions,
        passages: TokenVectors,
        firsts: np.ndarray,
    ) -> None:
        """Remembers vectors that `encode_documents` has returned for documents."""
        known = self._start(model, options)
        self._keep(
            known, {text: take_texts(passages, firsts[row], firsts[row + 1]) for row, text in enumerate(documents)}
        )

    def _start(self, model: TextEncoder, options: LateOptions) -> dict[str, TokenVectors]:
        """Returns what is known for a model, after forgetting what is too much or another model's."""
        key = (model.fingerprint, options)
        with self._lock:
            if self._key != key or self._bytes > self._most_bytes:
                self._key, self._known, self._bytes = key, {}, 0
            return self._known

    def _keep(self, known: dict[str, TokenVectors], made: dict[str, TokenVectors]) -> None:
        with self._lock:
            if self._known is known:
                known.update(made)
                self._bytes += sum(part.nbytes for part in made.values())
