"""Finds the best documents for each query in a corpus that is read in blocks and never held in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.documents.reading import DocumentReader, DocumentSource
from tfchain.data.pairs.reading import Pairs, text_key, text_keys

DOCUMENTS_IN_BLOCK = 4_096  # read, encoded and scored at once
SCORES_IN_BLOCK = 16_000_000  # float32 scores held at once: 64 MB


class Corpus:
    """Documents that can be read several times, a block at a time.

    Mining reads them once to rank them, and once more for the texts of the chosen few: reading is cheap compared with
    encoding, so neither texts nor ids are kept.

    Args:
        source: What `read_documents` accepts, or a function without arguments that returns it. Duplicate ids are not an
            error here: ids are ignored, because remembering them would take memory for each document.

    Raises:
        InputError: if the source can be read only once.
    """

    def __init__(self, source: DocumentSource | Callable[[], DocumentSource]) -> None:
        if isinstance(source, Iterator):
            raise InputError(
                f"`corpus` must be something that can be read more than once. Received: {type(source).__name__}. "
                "Give a path, a list, or a function that makes the generator: corpus=lambda: my_documents()."
            )
        self.source = source

    def __iter__(self) -> Iterator[str]:
        source: Any = self.source() if callable(self.source) else self.source
        for document in DocumentReader(source, unique_ids=False):
            yield document.full_text

    def check(self) -> None:
        """Reads the first document, before anything costly is done.

        Raises:
            InputError: if there is no document, or it cannot be read.
        """
        if next(iter(self), None) is None:
            raise InputError("`corpus` must have at least one document. Received: none.")

    def blocks(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Yields blocks of the documents' text keys, int64, and their texts, without duplicates in a block."""
        block: dict[int, str] = {}
        for text in self:
            block.setdefault(text_key(text), text)
            if len(block) == DOCUMENTS_IN_BLOCK:
                yield _to_arrays(block)
                block = {}
        if block:
            yield _to_arrays(block)

    def fetch(self, wanted: np.ndarray) -> dict[int, str]:
        """Reads the texts of some keys.

        Raises:
            InputError: if a document is no longer there.
        """
        texts: dict[int, str] = {}
        wanted = np.unique(wanted)
        for keys, block in self.blocks():
            for place in np.flatnonzero(np.isin(keys, wanted)):
                texts[int(keys[place])] = block[place]
            if len(texts) == len(wanted):
                return texts
        raise changed_corpus(len(wanted) - len(texts))


class Documents(Corpus):
    """The documents of training rows as a corpus; they are texts already, and need no checks.

    Args:
        columns: Texts.
    """

    def __init__(self, columns: Iterable[Sequence[str]]) -> None:
        texts = [text for column in columns for text in column]
        _, first = np.unique(text_keys(texts), return_index=True)
        self.texts = [texts[place] for place in np.sort(first)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)


class KeyTable:
    """Looks up numbers by key; a key may have several.

    Args:
        keys: int64 `(n,)`.
        numbers: int64 `(n,)`, the number that belongs to each key.
    """

    def __init__(self, keys: np.ndarray, numbers: np.ndarray) -> None:
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.numbers = numbers[order]

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Finds all numbers of some keys.

        Returns:
            `(numbers, places)`, both int64: each number, and the place in `keys` of the key that it belongs to.
        """
        first = np.searchsorted(self.keys, keys, side="left")
        counts = np.searchsorted(self.keys, keys, side="right") - first
        places = np.repeat(np.arange(len(keys)), counts)
        before = np.cumsum(counts) - counts  # numbers of the keys before each
        return self.numbers[np.arange(len(places)) - before[places] + first[places]], places


class Queries:
    """The distinct queries of training rows, and the documents that may not be their negatives.

    Args:
        pairs: The rows.

    Attributes:
        texts: The queries.
        of_row: The number of each row's query, int64 `(rows,)`.
        by_document: Numbers of the queries by the keys of texts that may not be their negatives.
        by_query: Keys of those texts by the queries' numbers.
    """

    def __init__(self, pairs: Pairs) -> None:
        keys = pairs.keys()
        _, first, self.of_row = np.unique(keys[:, 0], return_index=True, return_inverse=True)
        self.texts = [pairs.columns[0][row] for row in first]
        judged = pairs.relevant or [()] * len(pairs)
        own_judged = [key for relevant in judged for key in relevant]
        numbers = np.concatenate(
            [np.repeat(self.of_row, keys.shape[1]), np.repeat(self.of_row, [len(relevant) for relevant in judged])]
        )
        excluded = np.concatenate([keys.ravel(), np.array(own_judged, dtype=np.int64)])
        self.by_document = KeyTable(excluded, numbers)
        self.by_query = KeyTable(numbers, excluded)


class Candidates:
    """Keeps the best documents so far for each query, except those that are excluded for it.

    Args:
        queries: float32 `(queries, dim)`.
        size: How many documents are kept for a query.
        excluded: Numbers of the queries that a document is not a candidate for, by its key.

    Attributes:
        keys: int64 `(queries, size)`, best first; 0 where there is none.
        scores: float32 `(queries, size)`, -inf where there is none.
    """

    def __init__(self, queries: np.ndarray, size: int, excluded: KeyTable) -> None:
        self.queries = queries
        self.size = size
        self.excluded = excluded
        self.keys = np.zeros((len(queries), size), dtype=np.int64)
        self.scores = np.full((len(queries), size), -np.inf, dtype=np.float32)

    def add(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Adds a block of documents to the ranking.

        Args:
            keys: The documents' text keys, all different.
            vectors: float32 `(documents, dim)`.
        """
        queries, documents = self.excluded.find(keys)
        step = max(1, SCORES_IN_BLOCK // len(keys))
        for begin in range(0, len(self.queries), step):
            scores = self.queries[begin : begin + step] @ vectors.T  # (step, documents)
            here = (queries >= begin) & (queries < begin + step)
            scores[queries[here] - begin, documents[here]] = -np.inf
            best = np.broadcast_to(np.arange(len(keys)), scores.shape)
            if len(keys) > self.size:
                # In the order of reading, so that of two equal scores the earlier document stays in front.
                best = np.sort(np.argpartition(scores, -self.size, axis=1)[:, -self.size :], axis=1)
            self._merge(slice(begin, begin + step), keys[best], np.take_along_axis(scores, best, axis=1))

    def _merge(self, part: slice, keys: np.ndarray, scores: np.ndarray) -> None:
        keys = np.concatenate([self.keys[part], keys], axis=1)
        scores = np.concatenate([self.scores[part], scores], axis=1)
        # An earlier block may hold the same text: the sort is stable, so the second of two equal keys is the newer.
        order = np.argsort(keys, axis=1, kind="stable")
        ordered = np.take_along_axis(keys, order, axis=1)
        rows, places = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
        scores[rows, order[rows, places + 1]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.size]
        self.scores[part] = scores = np.take_along_axis(scores, best, axis=1)
        self.keys[part] = np.where(np.isneginf(scores), 0, np.take_along_axis(keys, best, axis=1))


class Sample:
    """Keys of some documents drawn at random, each text equally likely, however often it occurs.

    Text keys are random numbers themselves, so the keys nearest to a random number (by exclusive or) are a fair draw,
    whatever the order of reading.

    Args:
        size: How many keys to keep.
        seed: Seed of the draw.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.keys = np.zeros(0, dtype=np.int64)
        self._mask = np.random.default_rng([seed, 1]).integers(2**63)

    def add(self, keys: np.ndarray) -> None:
        """Adds a block of documents to draw from."""
        keys = np.union1d(self.keys, keys)
        self.keys = keys[np.argsort(keys ^ self._mask)[: self.size]]


def changed_corpus(missing: int) -> InputError:
    """The error for a corpus that lacks documents when it is read again."""
    return InputError(
        f"`corpus` must give the same documents each time it is read. Received: {missing} candidates fewer than the "
        "first time. Give a path that nothing writes to, a list, or a function that makes a new generator each time."
    )


def _to_arrays(block: dict[int, str]) -> tuple[np.ndarray, list[str]]:
    return np.fromiter(block, dtype=np.int64, count=len(block)), list(block.values())
