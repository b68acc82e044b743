"""Documents and their vectors together: what a search looks through."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document, Hit
from tfchain.models.binary_codebook import BinaryCodebook
from tfchain.models.index import Similarity, StoredVectors, VectorIndex
from tfchain.models.vector_storage import FLOAT_VECTORS, VectorStorage


class DocumentIndex:
    """Documents, their passages' vectors, and the fingerprint of the model that made them.

    Args:
        dim: Width of the vectors.
        fingerprint: Names the model; vectors of another are refused.
        similarity: `cosine` or `dot`. Default: `cosine`.
        storage: How vectors are kept. Default: float32.
        codebook: As in `VectorIndex`. Default: learned where the storage asks for it.
    """

    def __init__(
        self,
        dim: int,
        fingerprint: str,
        similarity: Similarity = "cosine",
        storage: VectorStorage = FLOAT_VECTORS,
        codebook: BinaryCodebook | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.vectors = VectorIndex(dim, similarity, storage, codebook)
        self.next_number = 0  # what a document without an id is called next: no document has or had this number
        self._documents: dict[str, Document] = {}  # in the order of the rows in `vectors`
        self._in_rows: list[Document] | None = None  # the same as a list, made when it is asked for

    def __len__(self) -> int:
        return len(self._documents)

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._documents

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents.values())

    def get(self, document_id: str) -> Document | None:
        """The document of an id, None if it is not there."""
        return self._documents.get(document_id)

    def add(
        self,
        documents: Sequence[Document],
        counts: Sequence[int],
        vectors: np.ndarray | StoredVectors,
        *,
        fingerprint: str,
    ) -> None:
        """Adds documents; one whose id is there takes the old one's place in the answers, and comes last in order.

        Args:
            documents: The documents, no id twice.
            counts: How many passages each has.
            vectors: The passages' vectors, float32 `(passages, dim)`, in the documents' order, or as they were kept.
            fingerprint: Of the model that made the vectors.

        Raises:
            FingerprintError: if another model made the vectors that are there.
            InputError: if the numbers do not fit.
        """
        if fingerprint != self.fingerprint:
            raise FingerprintError(
                f"Vectors of one model cannot be mixed with another's. Expected: model {self.fingerprint[:12]}. "
                f"Received: model {fingerprint[:12]}. Encode all documents again with `reindex()`."
            )
        if len(documents) != len(counts):
            raise InputError(f"There must be one count a document. Received: {len(documents)} and {len(counts)}.")
        replaced = [document.id for document in documents if document.id in self._documents]
        # The new vectors go in first: if they are refused, nothing has changed.
        self.vectors.add(vectors, counts)
        if replaced:
            rows = self._rows(replaced)
            for document_id in replaced:
                del self._documents[document_id]
            self.vectors.remove(rows)
        self._documents.update((document.id, document) for document in documents)
        self._in_rows = None
        numbers = [int(one.id) for one in documents if one.id.isdecimal() and len(one.id) < 19]
        self.next_number = max(self.next_number + len(documents), max(numbers, default=-1) + 1)

    def remove(self, ids: Iterable[str]) -> None:
        """Removes documents.

        Raises:
            InputError: if an id is not there; nothing is removed then.
        """
        ids = list(dict.fromkeys(ids))
        missing = [one for one in ids if one not in self._documents]
        if missing:
            raise InputError(
                f"`ids` must be in the index. Received: {', '.join(map(repr, missing[:5]))}"
                f"{' and others' if len(missing) > 5 else ''}, not among the {len(self)} documents. Nothing is removed."
            )
        rows = self._rows(ids)
        for one in ids:
            del self._documents[one]
        self._in_rows = None
        self.vectors.remove(rows)

    def search(self, queries: np.ndarray, top_k: int, *, more: int = 0) -> list[list[Hit]]:
        """Finds the best documents of each query vector, best first.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: How many documents; all, if there are fewer.
            more: As in `VectorIndex.search`. Default: 0.
        """
        rows, scores = self.vectors.search(queries, top_k, more=more)
        if self._in_rows is None:
            self._in_rows = list(self._documents.values())
        documents = self._in_rows
        return [
            [make_hit(documents[row], float(score)) for row, score in zip(one_rows, one_scores, strict=True)]
            for one_rows, one_scores in zip(rows, scores, strict=True)
        ]

    def _rows(self, ids: Iterable[str]) -> list[int]:
        wanted = set(ids)
        return [row for row, document_id in enumerate(self._documents) if document_id in wanted]


def make_hit(document: Document, score: float) -> Hit:
    """A hit on a document."""
    return Hit(document.id, score, document.text, document.title, document.metadata)
