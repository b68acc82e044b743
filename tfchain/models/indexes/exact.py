"""Exact nearest-neighbour search over vectors in memory; a document's score is that of its best vector."""

import copy
import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models import native_library
from tfchain.models.indexes.binary_codebook import VECTORS_A_BIT, BinaryCodebook, count_to_learn, learn_codebook
from tfchain.models.indexes.codes import from_signs, hamming, to_int8, to_signs
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.indexes.vector_rows import StoredVectors, VectorRows

__all__ = ["Similarity", "StoredVectors", "VectorIndex"]

logger = logging.getLogger(__name__)

Similarity = Literal["cosine", "dot"]
SCORES_IN_BLOCK = 16_000_000  # float32 scores held at once: 64 MB
NUMBERS_IN_BLOCK = 6_000_000  # int8 numbers converted to float32 at once: 24 MB


class VectorIndex:
    """Vectors of documents, searched by comparing the query with each vector.

    Exact search is suitable for up to a few hundred thousand vectors; it finds every hit, needs no training, and costs
    one product. Documents keep the order in which they were added, and equal scores are ranked in that order.

    Where the compiled kernels run, they search vectors in float32 and int8: they read most vectors in 8 bits, and give
    the documents and scores of the product in float32 nonetheless (`native_vectors`). For vectors in float32
    that takes a quarter more memory from the first search on.

    Only one thread at a time may add and remove; a `copy`, which costs nothing, does not change meanwhile. Rows, in
    `search`, `starts` and `stored`, count the current documents. Slots also count removed documents, until `compact`: a
    document keeps its slot when others are removed.

    Args:
        dim: Width of the vectors.
        similarity: `cosine` compares directions, `dot` takes lengths into account; use the similarity that the model
            was trained with. Default: `cosine`.
        storage: How vectors are kept. With `int8` and `binary`, queries stay in float32, and a score compares the query
            with the stored vector. Default: float32.
        codebook: The codebook of binary vectors, if it is known. Default: learned from the vectors of the first `add`
            if the storage asks for it; `num_to_learn` says how many there should be.

    Raises:
        InputError: if `similarity` is unknown, or does not suit the storage.
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
        self._rows = VectorRows(self._store(np.empty((0, dim), dtype="float32")))

    def __len__(self) -> int:
        return len(self._rows)

    def copy(self) -> "VectorIndex":
        """Returns a copy of the index; changes of either do not affect the other."""
        return copy.copy(self)

    @property
    def stored(self) -> StoredVectors:
        """All vectors as they are stored; a copy if documents have been removed since `compact`."""
        return self._rows.live

    @property
    def vectors(self) -> np.ndarray:
        """The values of all vectors as they are stored; with float32 and `cosine`, they are scaled to length one."""
        return self.stored.values

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors, including scales and codebook."""
        book = self.codebook
        return self._rows.nbytes + (0 if book is None else book.mean.nbytes + book.matrix.nbytes)

    @property
    def num_to_learn(self) -> int:
        """How many vectors the first `add` should have to learn a codebook from; 0 if none is to be learned."""
        learns = self.storage.precision == "binary" and self.storage.codes == "learned"
        return count_to_learn(self.dim) if learns and self.codebook is None and not len(self) else 0

    @property
    def counts(self) -> np.ndarray:
        """Number of vectors of each document, int64 `(documents,)`."""
        return self._rows.counts

    @property
    def starts(self) -> np.ndarray:
        """Row of the first vector of each document in `stored`, int64 `(documents,)`."""
        counts = self.counts
        return np.cumsum(counts) - counts

    @property
    def slots(self) -> np.ndarray:
        """Slot of each document, int64 `(documents,)`."""
        return self._rows.slots

    @property
    def num_slots(self) -> int:
        """The number of slots, which is the next document's slot."""
        return self._rows.num_slots

    @property
    def is_sparse(self) -> bool:
        """Whether so many documents have been removed that `compact` is worth its time."""
        return self._rows.is_sparse

    def take(self, rows: Sequence[int]) -> StoredVectors:
        """Returns the stored vectors of some documents, document by document."""
        return self._rows.take(self.slots[np.asarray(rows, dtype=np.int64)])

    def add(self, vectors: np.ndarray | StoredVectors, counts: Sequence[int]) -> None:
        """Adds documents after the existing ones.

        Args:
            vectors: float32 `(vectors, dim)`, document by document; or stored vectors of another index with the same
                storage and codebook.
            counts: The number of vectors of each document, at least 1.

        Raises:
            InputError: if the shapes do not fit, or a value is not finite.
        """
        values = vectors.values if isinstance(vectors, StoredVectors) else vectors
        width = self._rows.all.values.shape[1] if isinstance(vectors, StoredVectors) else self.dim
        if values.ndim != 2 or values.shape[1] != width or sum(counts) != len(values) or min(counts, default=1) < 1:
            raise InputError(
                f"`vectors` must be (vectors, {width}), and `counts` must add up to their number. "
                f"Received: shape {values.shape}, {len(counts)} counts with the sum {sum(counts)}."
            )
        if not isinstance(vectors, StoredVectors):
            if not np.isfinite(vectors).all():
                raise InputError("`vectors` must be finite. Received: NaN or infinity. Check the model's weights.")
            vectors = self._store(self.prepare(vectors))
        kept = self._rows.all
        if vectors.values.dtype != kept.values.dtype or (vectors.scales is None) != (kept.scales is None):
            raise InputError(
                f"`vectors` must be stored in {self.storage.precision}. Received: {vectors.values.dtype} values."
            )
        self._rows = self._rows.added(vectors, counts)

    def remove(self, rows: Sequence[int]) -> None:
        """Removes documents by their rows, in the order of adding; later documents move up."""
        self.remove_slots(self.slots[np.unique(np.asarray(rows, dtype=np.int64))])
        if self.is_sparse:
            self.compact()

    def remove_slots(self, slots: Sequence[int] | np.ndarray) -> None:
        """Removes documents by their slots, without duplicates; the other documents keep their slots."""
        self._rows = self._rows.removed(slots)

    def compact(self) -> None:
        """Closes the gaps of removed documents, so that slots and rows are the same again."""
        if not self._rows.is_dense:
            self._rows = self._rows.compacted()

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """Scales vectors to length one for `cosine` (a zero vector stays zero); leaves them unchanged for `dot`."""
        vectors = np.asarray(vectors, dtype="float32")
        if self.similarity == "dot":
            return vectors
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    def search(
        self, queries: np.ndarray, top_k: int, *, more: int = 0, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the best documents of each query.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: The number of documents; all, if there are fewer.
            more: The number of further documents to return if their scores are known anyway. Default: 0.
            allowed: Which documents may be found, booleans `(documents,)`. Default: all.

        Returns:
            `(rows, scores)`, int64 and float32 `(queries, min(top_k, documents))`, best first; wider with `more`.
            Only documents that may be found count.

        Raises:
            InputError: if `top_k` is less than 1.
        """
        documents = self._rows
        chosen = None if allowed is None else np.flatnonzero(allowed)  # rows, in order
        num_documents = len(self) if chosen is None else len(chosen)
        top_k = min(check_whole_number("top_k", top_k, advice="Ask for one hit or more."), num_documents)
        candidates = self.num_candidates(top_k, num_documents)
        width = min(top_k + more, num_documents if candidates is None else candidates)
        rows = np.empty((len(queries), width), dtype=np.int64)
        scores = np.empty((len(queries), width), dtype="float32")
        if not top_k:
            return rows, scores
        queries = self.prepare(queries)
        found = self._search_copies(documents, queries, width, chosen) if candidates is None else None
        if found is not None:
            return found[0], self._clip(found[1])
        slots = documents.slots if chosen is None else documents.slots[chosen]
        step = max(1, SCORES_IN_BLOCK // max(1, documents.num_vectors))
        for begin in range(0, len(queries), step):
            block = self._score(queries[begin : begin + step])  # (queries, vectors)
            if documents.num_vectors != documents.num_slots:
                block = np.maximum.reduceat(block, documents.offsets[:-1], axis=1)  # (queries, slots)
            if chosen is not None or not documents.is_dense:
                block = block[:, slots]  # (queries, documents)
            for number, first_scores in enumerate(block, start=begin):
                if candidates is None:
                    rows[number] = find_best(first_scores, width)
                    scores[number] = first_scores[rows[number]]
                else:
                    first = np.sort(find_best_of(first_scores, candidates))
                    rescored = self._rescore(queries[number], slots[first])
                    best = find_best_of(rescored, width)
                    rows[number], scores[number] = first[best], rescored[best]
        if chosen is not None:
            rows = chosen[rows]
        return rows, self._clip(scores)

    def score_vectors(self, query: np.ndarray, row: int) -> np.ndarray:
        """Returns the score of each of a document's vectors, float32 `(vectors,)`: the best is the document's.

        Args:
            query: float32 `(dim,)`.
            row: The document's row.
        """
        stored, prepared = self.take([row]), self.prepare(query[None])
        if self.storage.precision == "binary":
            projected, added = self.project(prepared)
            return self._clip(from_signs(stored.values, self.dim) @ projected[0] + added[0])
        scores = stored.values.astype("float32") @ prepared[0]
        return self._clip(scores if stored.scales is None else scores * stored.scales)

    def num_candidates(self, top_k: int, num_documents: int | None = None) -> int | None:
        """Returns how many documents to score again for `top_k` hits; None if documents are scored only once.

        Args:
            top_k: The number of hits.
            num_documents: The number of documents that may be found. Default: all.
        """
        multiplier = self.storage.rescore_multiplier
        if self.storage.precision != "binary" or multiplier is None:
            return None
        return min(top_k * multiplier, len(self) if num_documents is None else num_documents)

    def project(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the queries' factors of binary vectors, `(queries, dim)`, and their added terms, `(queries, 1)`."""
        if self.codebook is not None:
            return self.codebook.project(queries)
        return queries / np.float32(np.sqrt(self.dim)), np.zeros((len(queries), 1), dtype="float32")

    def _store(self, vectors: np.ndarray) -> StoredVectors:
        """Converts prepared vectors to this index's storage."""
        if self.storage.precision == "int8":
            return StoredVectors(*to_int8(vectors))
        if self.storage.precision == "float32":
            return StoredVectors(vectors)
        if len(vectors) and self.num_to_learn:
            self.codebook = learn_codebook(vectors)
            if self.codebook is None:
                logger.warning(
                    "%d vectors are too few to learn a codebook of %d bits, which takes %d different ones: signs are "
                    "stored, which rank worse. Encode the documents again when there are more, or use codes='signs'.",
                    *(len(vectors), self.dim, VECTORS_A_BIT * self.dim),
                )
        return StoredVectors(to_signs(vectors) if self.codebook is None else self.codebook.encode(vectors))

    def _score(self, queries: np.ndarray) -> np.ndarray:
        """Returns the first score of every vector, also of removed documents, float32 `(queries, vectors)`."""
        stored = self._rows.all
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

    def _search_copies(
        self, documents: VectorRows, queries: np.ndarray, width: int, chosen: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Searches with the kernels; returns rows and unclipped scores, or None if the kernels cannot.

        Args:
            documents: The documents.
            queries: The prepared queries.
            width: The number of documents to find.
            chosen: The rows that may be found, in order; None for all.
        """
        copies = None if self.storage.precision == "binary" else documents.copies()
        if copies is None:
            return None
        allowed = None
        if chosen is not None or not documents.is_dense:
            allowed = np.zeros(documents.num_slots, dtype=bool)
            allowed[documents.slots if chosen is None else documents.slots[chosen]] = True
        found = copies.find_best(
            queries, width, num_vectors=documents.num_vectors, offsets=documents.offsets, allowed=allowed
        )
        if found is None:
            return None
        slots, scores, _ = found
        return slots if documents.is_dense else np.searchsorted(documents.slots, slots), scores

    def _clip(self, scores: np.ndarray) -> np.ndarray:
        """Clips scores: with rounding and coarse vectors, they can leave a cosine's range; rankings use them before."""
        return scores if self.similarity == "dot" else np.clip(scores, -1, 1)

    def _rescore(self, query: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Returns the scores of documents by a float32 query, float32 `(slots,)`."""
        counts = self._rows.offsets[slots + 1] - self._rows.offsets[slots]
        projected, added = self.project(query[None])
        scores = from_signs(self._rows.take(slots).values, self.dim) @ projected[0] + added[0]
        return np.maximum.reduceat(scores, np.cumsum(counts) - counts)


def find_best(scores: np.ndarray, top_k: int) -> np.ndarray:
    """Returns what `find_best_of` does, by the kernels where they run."""
    rows = native_library.find_best(scores, top_k)
    return find_best_of(scores, top_k) if rows is None else rows


def find_best_of(scores: np.ndarray, top_k: int) -> np.ndarray:
    """Returns the rows of the largest scores, largest first; among equal scores, earlier rows first."""
    if top_k < len(scores):
        least = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        candidates = np.flatnonzero(scores >= least)
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")[:top_k]]
