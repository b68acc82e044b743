"""Exact nearest-neighbour search over vectors in memory; a document is scored by the best of its vectors."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.binary_codebook import VECTORS_A_BIT, BinaryCodebook, count_to_learn, learn_codebook
from tfchain.models.vector_codes import from_signs, hamming, to_int8, to_signs
from tfchain.models.vector_storage import FLOAT_VECTORS, VectorStorage

logger = logging.getLogger(__name__)

Similarity = Literal["cosine", "dot"]
SCORES_IN_BLOCK = 16_000_000  # float32 scores held at once: 64 MB
NUMBERS_IN_BLOCK = 6_000_000  # int8 numbers that become float32 at once: 24 MB


@dataclass(frozen=True)
class StoredVectors:
    """Vectors as an index keeps them.

    Args:
        values: float32 `(vectors, dim)`, int8 of the same shape, or bits in uint8 `(vectors, ceil(dim / 8))`.
        scales: For int8: what each vector's numbers are multiplied by, float32 `(vectors,)`. Default: there are none.
    """

    values: np.ndarray
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "StoredVectors":
        """Some of them, by anything that indexes an array."""
        return StoredVectors(self.values[rows], None if self.scales is None else self.scales[rows])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)


class VectorIndex:
    """Vectors of documents, searched by comparing the query with each.

    Exact search is right up to some hundred thousand vectors; it finds every hit, needs no training, and costs one
    product. Documents keep the order in which they were added, and equal scores are ranked in that order.

    Args:
        dim: Width of the vectors.
        similarity: `cosine` compares directions, `dot` takes lengths into account; use what the model was trained
            with. Default: `cosine`.
        storage: How vectors are kept. With `int8` and `binary` queries stay in float32, so that a score is that of the
            query with what is kept of the document. Default: float32.
        codebook: What bits stand for, if it is known already. Default: learned from the vectors of the first `add`,
            where the storage asks for it; `num_to_learn` says how many these should be.

    Raises:
        InputError: if `similarity` is unknown, or does not go with the storage.
    """

    def __init__(
        self,
        dim: int,
        similarity: Similarity = "cosine",
        storage: VectorStorage = FLOAT_VECTORS,
        codebook: BinaryCodebook | None = None,
    ) -> None:
        if similarity not in ("cosine", "dot"):
            raise InputError(f"`similarity` must be 'cosine' or 'dot'. Received: similarity={similarity!r}.")
        storage.check_similarity(similarity)
        self.dim = dim
        self.similarity = similarity
        self.storage = storage
        self.codebook = codebook
        self._start_list: list[int] = []  # where each document's vectors begin
        self._starts: np.ndarray | None = None  # the same, made when it is asked for
        self._buffer = self._store(np.empty((0, dim), dtype="float32"))
        self._num_vectors = 0

    def __len__(self) -> int:
        return len(self._start_list)

    @property
    def stored(self) -> StoredVectors:
        """All vectors as they are kept."""
        return self._buffer[: self._num_vectors]

    @property
    def vectors(self) -> np.ndarray:
        """All vectors' values as they are kept; in float32 scaled to length one where the similarity is cosine."""
        return self.stored.values

    @property
    def nbytes(self) -> int:
        """Bytes that the vectors take, and what belongs to them: scales, a codebook."""
        book = self.codebook
        return self.stored.nbytes + (0 if book is None else book.mean.nbytes + book.matrix.nbytes)

    @property
    def num_to_learn(self) -> int:
        """How many vectors the first `add` should bring, to learn from; 0 where nothing is learned (any more)."""
        learns = self.storage.precision == "binary" and self.storage.codes == "learned"
        return count_to_learn(self.dim) if learns and self.codebook is None and not len(self) else 0

    @property
    def starts(self) -> np.ndarray:
        """Row of the first vector of each document, int64 `(documents,)`."""
        if self._starts is None:
            self._starts = np.array(self._start_list, dtype=np.int64)
        return self._starts

    def add(self, vectors: np.ndarray | StoredVectors, counts: Sequence[int]) -> None:
        """Adds documents behind those that are there.

        Args:
            vectors: float32 `(vectors, dim)`, the documents' vectors one after the other; or what another index of the
                same storage and codebook has kept of them.
            counts: How many of them belong to each document; at least one each.

        Raises:
            InputError: if the shapes do not fit, or a value is not finite.
        """
        values = vectors.values if isinstance(vectors, StoredVectors) else vectors
        width = self._buffer.values.shape[1] if isinstance(vectors, StoredVectors) else self.dim
        if values.ndim != 2 or values.shape[1] != width or sum(counts) != len(values) or min(counts, default=1) < 1:
            raise InputError(
                f"`vectors` must be (vectors, {width}) with `counts` that add up to their number. "
                f"Received: shape {values.shape}, {len(counts)} counts with the sum {sum(counts)}."
            )
        if not isinstance(vectors, StoredVectors):
            if not np.isfinite(vectors).all():
                raise InputError("`vectors` must be finite. Received: NaN or infinity. Check the model's weights.")
            vectors = self._store(self.prepare(vectors))
        elif vectors.values.dtype != self._buffer.values.dtype or (vectors.scales is None) != (
            self._buffer.scales is None
        ):
            raise InputError(
                f"`vectors` must be kept in {self.storage.precision}. Received: {vectors.values.dtype} values."
            )
        end = self._num_vectors + len(vectors)
        if end > len(self._buffer):  # half as much again, so that adding one by one stays linear
            self._buffer = _resize(self.stored, max(end, len(self._buffer) * 3 // 2))
        self._buffer.values[self._num_vectors : end] = vectors.values
        if self._buffer.scales is not None:
            self._buffer.scales[self._num_vectors : end] = vectors.scales
        begins = np.cumsum([self._num_vectors, *counts[:-1]])[: len(counts)]
        self._start_list.extend(begins.tolist())
        self._starts = None
        self._num_vectors = end

    def remove(self, rows: Sequence[int]) -> None:
        """Removes documents by their place in the order of adding; those behind move up."""
        kept = np.ones(len(self), dtype=bool)
        kept[list(rows)] = False
        counts = self.counts
        self._buffer = self.stored[np.repeat(kept, counts)]
        self._num_vectors = len(self._buffer)
        self._start_list = np.concatenate([[0], np.cumsum(counts[kept])])[:-1].astype(int).tolist()
        self._starts = None

    @property
    def counts(self) -> np.ndarray:
        """Number of vectors of each document, int64 `(documents,)`."""
        return np.diff(self.starts, append=self._num_vectors)

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """What is stored of vectors: length one for cosine (a zero vector stays zero), unchanged for dot."""
        vectors = np.asarray(vectors, dtype="float32")
        if self.similarity == "dot":
            return vectors
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    def search(self, queries: np.ndarray, top_k: int, *, more: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Finds the best documents of each query.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: How many documents; all, if there are fewer.
            more: How many of those behind are given, too, as far as their scores were worked out. Default: 0.

        Returns:
            `(rows, scores)`, int64 and float32 `(queries, min(top_k, documents))`, best first.

        Raises:
            InputError: if `top_k` is less than 1.
        """
        top_k = min(check_whole_number("top_k", top_k, advice="Ask for one hit or more."), len(self))
        candidates = self.num_candidates(top_k)
        given = min(top_k + more, len(self) if candidates is None else candidates)
        rows = np.empty((len(queries), given), dtype=np.int64)
        scores = np.empty((len(queries), given), dtype="float32")
        if not top_k:
            return rows, scores
        queries = self.prepare(queries)
        counts = None if candidates is None else self.counts
        step = max(1, SCORES_IN_BLOCK // max(1, self._num_vectors))
        for begin in range(0, len(queries), step):
            asked = queries[begin : begin + step]
            block = self._score(asked)  # (queries, vectors)
            if self._num_vectors != len(self):
                block = np.maximum.reduceat(block, self.starts, axis=1)  # (queries, documents)
            for number, one in enumerate(block, start=begin):
                if candidates is None or counts is None:
                    rows[number] = _best(one, given)
                    scores[number] = one[rows[number]]
                else:
                    chosen = np.sort(_best(one, candidates))
                    rescored = self._rescore(queries[number], chosen, counts[chosen])
                    places = _best(rescored, given)
                    rows[number], scores[number] = chosen[places], rescored[places]
        return rows, scores

    def num_candidates(self, top_k: int) -> int | None:
        """How many documents are scored again for so many hits; None where the first scores are the last."""
        multiplier = self.storage.rescore_multiplier
        if self.storage.precision != "binary" or multiplier is None:
            return None
        return min(top_k * multiplier, len(self))

    def project(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What binary vectors are compared with: `(queries, dim)` for the bits, and what is added to a score."""
        if self.codebook is not None:
            return self.codebook.project(queries)
        return queries / np.float32(np.sqrt(self.dim)), np.zeros((len(queries), 1), dtype="float32")

    def _store(self, vectors: np.ndarray) -> StoredVectors:
        """Prepared vectors in this index' storage."""
        if self.storage.precision == "int8":
            return StoredVectors(*to_int8(vectors))
        if self.storage.precision == "float32":
            return StoredVectors(vectors)
        if self.num_to_learn and len(vectors):
            self.codebook = learn_codebook(vectors)
            if self.codebook is None:
                logger.warning(
                    "%d vectors are too few to learn what %d bits stand for, which takes %d different ones: signs are "
                    "kept, which rank worse. Encode the documents again when there are more, or take codes='signs'.",
                    *(len(vectors), self.dim, VECTORS_A_BIT * self.dim),
                )
        return StoredVectors(to_signs(vectors) if self.codebook is None else self.codebook.encode(vectors))

    def _score(self, queries: np.ndarray) -> np.ndarray:
        """The first score of every vector, float32 `(queries, vectors)`."""
        stored = self.stored
        if self.storage.precision == "binary":
            distances = hamming(to_signs(self.project(queries)[0]), stored.values).astype("float32")
            return 1 - distances * np.float32(2 / self.dim)
        if stored.scales is None:
            return queries @ stored.values.T
        scores = np.empty((len(queries), len(stored)), dtype="float32")
        step = max(1, NUMBERS_IN_BLOCK // self.dim)
        for begin in range(0, len(stored), step):
            part = stored[begin : begin + step]
            scores[:, begin : begin + step] = queries @ part.values.astype("float32").T * part.scales
        return scores

    def _rescore(self, query: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The scores of documents by the query in float32, float32 `(rows,)`."""
        begins = np.cumsum(counts) - counts  # of each document's scores among those worked out
        vectors = np.arange(counts.sum()) + np.repeat(self.starts[rows] - begins, counts)
        projected, added = self.project(query[None])
        scores = from_signs(self.vectors[vectors], self.dim) @ projected[0] + added[0]
        return np.maximum.reduceat(scores, begins)


def _resize(stored: StoredVectors, length: int) -> StoredVectors:
    values = np.empty((length, stored.values.shape[1]), dtype=stored.values.dtype)
    values[: len(stored)] = stored.values
    scales = None if stored.scales is None else np.empty(length, dtype="float32")
    if scales is not None:
        scales[: len(stored)] = stored.scales
    return StoredVectors(values, scales)


def _best(scores: np.ndarray, top_k: int) -> np.ndarray:
    """Rows of the largest scores, largest first, earlier rows first among equals."""
    if top_k < len(scores):
        least = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        candidates = np.flatnonzero(scores >= least)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")[:top_k]]
