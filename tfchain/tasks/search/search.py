"""The steps of search: from documents to vectors, and from questions to hits."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.filters.filter import parse_filter
from tfchain.core.texts import check_queries
from tfchain.core.types import Document, Hit, Passage, SearchResult
from tfchain.data.documents.passages import SPLIT_METHODS, PassageMode, split_all
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex

logger = logging.getLogger(__name__)

DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class PassageConfig:
    """How documents longer than the model's maximum length become vectors.

    Args:
        mode: `split` cuts them into overlapping passages with a vector each, and scores a document by its best passage;
            `sentences` cuts at the ends of sentences alone; `structure` along the headings of Markdown and HTML, and
            puts the path of headings before each passage; see `tfchain.data.documents.passages.split_all`. `truncate`
            encodes the beginning and drops the rest, as sentence-transformers does. Default: `split`.
        overlap_tokens: The tokens that neighbouring passages share. Default: a tenth of the model's maximum length.
    """

    mode: PassageMode = "split"
    overlap_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(PassageMode):
            modes = ", ".join(map(repr, get_args(PassageMode)))
            raise InputError(f"`passages` must be one of {modes}. Received: passages={self.mode!r}.")
        if self.overlap_tokens is not None:
            check_whole_number("overlap_tokens", self.overlap_tokens, least=0)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class EncodedDocuments:
    """Documents with their passages' vectors.

    Args:
        documents: The documents.
        counts: The number of passages of each document.
        vectors: float32 `(passages, dim)`, in the documents' order.
    """

    documents: list[Document]
    counts: list[int]
    vectors: np.ndarray


def encode_documents(
    text_encoder: TextEncoder,
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    batch_size: int = 32,
    progress: bool | None = None,
) -> Iterator[EncodedDocuments]:
    """Cuts documents into passages and encodes them, some thousand documents at a time.

    Args:
        text_encoder: Tokenizer and encoder.
        documents: The documents, read as needed.
        passages: How to handle documents longer than the maximum length.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Yields:
        The documents with their vectors, in order.

    Raises:
        InputError: if a document has neither text nor title.
    """
    iterator = iter(documents)
    while part := list(islice(iterator, DOCUMENTS_AT_ONCE)):
        check_not_empty(part)
        cuts = cut_documents(text_encoder, part, passages)
        texts, counts = [passage.text for cut in cuts for passage in cut], [len(cut) for cut in cuts]
        vectors = text_encoder.encode_document(texts, batch_size=batch_size, progress=progress)
        yield EncodedDocuments(part, counts, vectors)


def cut_documents(
    text_encoder: TextEncoder, documents: Sequence[Document], passages: PassageConfig
) -> list[list[Passage]]:
    """Cuts documents into the passages that have a vector each, in the order of these.

    Args:
        text_encoder: Tokenizer and encoder.
        documents: The documents.
        passages: How to handle documents longer than the maximum length; with `truncate`, each is its own passage.

    Raises:
        InputError: if the prompt for documents leaves no room for a text.
    """
    if passages.mode == "truncate":
        return [[Passage(document.id, document.full_text, 0, len(document.text))] for document in documents]
    tokenizer, prompt = text_encoder.document_tokenizer, text_encoder.document_prompt
    room = tokenizer.content_length - (tokenizer.count_tokens([prompt])[0] if prompt else 0)
    if room < 1:
        raise InputError(
            f"The prompt for documents must leave room for a text. Received: {prompt!r:.80} for at most "
            f"{tokenizer.max_length} tokens. Shorten it, or raise `max_length`."
        )
    overlap = tokenizer.max_length // 10 if passages.overlap_tokens is None else passages.overlap_tokens
    return split_all(
        documents,
        count_tokens=tokenizer.count_tokens,
        max_tokens=room,
        overlap_tokens=min(overlap, room - 1),
        method=SPLIT_METHODS[passages.mode],
    )


def check_not_empty(documents: Iterable[Document]) -> None:
    """Raises an InputError if a document has nothing to encode."""
    for document in documents:
        if document.is_empty:
            raise InputError(
                f"A document in an index must have a text or a title. Received: document {document.id!r} with neither. "
                "Leave it out, or read with empty='skip'."
            )


def new_index(text_encoder: TextEncoder) -> DocumentIndex:
    """Makes an index without documents that stores vectors as the text encoder specifies."""
    return DocumentIndex(
        text_encoder.embedding_dim,
        text_encoder.fingerprint,
        text_encoder.similarity,
        text_encoder.vector_storage,
    )


def make_index(
    text_encoder: TextEncoder,
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    batch_size: int = 32,
    progress: bool | None = None,
) -> DocumentIndex:
    """Makes an index of documents; the arguments are those of `encode_documents`."""
    index = new_index(text_encoder)
    parts = encode_documents(text_encoder, documents, passages, batch_size=batch_size, progress=progress)
    fill_index(index, parts, fingerprint=index.fingerprint)
    return index


def fill_index(index: DocumentIndex, parts: Iterable[EncodedDocuments], *, fingerprint: str) -> None:
    """Adds encoded documents in one step; an index that learns from vectors gets enough of them in its first part.

    Args:
        index: The index to add to.
        parts: Documents with their vectors, with different ids; read as needed, while other writers wait.
        fingerprint: The fingerprint of the model that made the vectors.

    Raises:
        FingerprintError: if another model made the existing vectors.
        InputError: if a vector is not finite; nothing is added then.
    """
    joined = _join_first(parts, index.vectors.num_to_learn)
    index.add_parts(((part.documents, part.counts, part.vectors) for part in joined), fingerprint=fingerprint)


def _join_first(parts: Iterable[EncodedDocuments], num_vectors: int) -> Iterator[EncodedDocuments]:
    """Yields the parts, the first ones joined to a part of at least `num_vectors` vectors, or of all."""
    iterator = iter(parts)
    first: list[EncodedDocuments] = []
    while num_vectors > 0 and (part := next(iterator, None)) is not None:
        first.append(part)
        num_vectors -= len(part.vectors)
    if first:
        documents = [document for part in first for document in part.documents]
        counts = [count for part in first for count in part.counts]
        yield EncodedDocuments(documents, counts, np.concatenate([part.vectors for part in first]))
    yield from iterator


def search_texts(
    text_encoder: TextEncoder,
    index: DocumentIndex | None,
    texts: Sequence[str],
    *,
    top_k: int = 10,
    filter: Mapping[str, Any] | None = None,
    batch_size: int = 32,
) -> list[SearchResult]:
    """Answers questions.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents; if None or empty, each text is its own answer.
        texts: The questions.
        top_k: The number of hits; all documents, if there are fewer. Default: 10.
        filter: Conditions that the metadata of a hit must meet; see `core.filters`. Default: none.
        batch_size: The most texts in one step. Default: 32.

    Raises:
        InputError: if a text is empty, `top_k` is less than 1, or `filter` is not a filter.
    """
    texts = check_queries(texts)
    top_k = check_whole_number("top_k", top_k, advice="Ask for one hit or more.")
    asked = None if filter is None else parse_filter(filter)
    index = None if index is None else index.snapshot()
    vectors = text_encoder.encode_query(texts, batch_size=batch_size)
    if index is None or not len(index):
        logger.warning("No documents were added, so each text is its own answer. Add documents with `add(documents)`.")
        return [SearchResult(text, text) for text in texts]
    found = index.search(vectors, top_k, allowed=None if asked is None else index.match(asked))
    return [_make_result(text, hits) for text, hits in zip(texts, found, strict=True)]


def _make_result(text: str, hits: Sequence[Hit]) -> SearchResult:
    return SearchResult(text, hits[0].text or hits[0].title if hits else text, hits)


def rank_queries(
    text_encoder: TextEncoder,
    index: DocumentIndex,
    queries: Mapping[str, str],
    *,
    top_k: int,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    batch_size: int = 32,
) -> dict[str, list[tuple[str, float]]]:
    """Ranks documents for each query, in the form that the metrics take.

    A document with the query's own id is left out, as BEIR does: a query that is itself a document would find itself.
    It stays if it is judged for the query: then it only has the same id, such as when both are numbered.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents.
        queries: Query id → text.
        top_k: The number of ranked documents, not counting the one left out.
        qrels: Query id → document id → grade. Default: nothing is judged.
        batch_size: The most texts in one step. Default: 32.

    Returns:
        Query id → `(document id, score)` pairs, best first.
    """
    vectors = text_encoder.encode_query(list(queries.values()), batch_size=batch_size)
    found: list[list[Hit]] = index.search(vectors, top_k + 1)
    judged = qrels or {}
    return {
        query: [(hit.id, hit.score) for hit in hits if hit.id != query or query in judged.get(query, ())][:top_k]
        for query, hits in zip(queries, found, strict=True)
    }
