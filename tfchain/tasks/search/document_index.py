"""Documents and their vectors, to search together."""

import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.filters.columns import MetadataColumns
from tfchain.core.filters.filter import Filter, FilterMasks
from tfchain.core.types import Document, Hit
from tfchain.models.indexes.binary_codebook import BinaryCodebook
from tfchain.models.indexes.exact import Similarity, StoredVectors, VectorIndex
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage

Part = tuple[Sequence[Document], Sequence[int], np.ndarray | StoredVectors]  # documents, counts, vectors


@dataclass(frozen=True)
class _State:
    """An index at one moment; a reader takes it once, and does not see later changes.

    Args:
        vectors: The vectors; never changed in place.
        documents: The documents by slot of `vectors`; later states append to the list.
        slots: Id → slot; later states change the dict. In a snapshot None until needed.
        next_number: The number that becomes the id of the next document without one.
        masks: What filters let through, by slot; empty before the first filter. States with the same slots share it.
    """

    vectors: VectorIndex
    documents: list[Document]
    slots: dict[str, int] | None
    next_number: int = 0
    masks: list[FilterMasks] = dataclasses.field(default_factory=list)

    def in_order(self) -> list[Document]:
        """Returns the documents in the order of the rows of `vectors`."""
        return [self.documents[slot] for slot in self.vectors.slots.tolist()]

    def match(self, asked: Filter) -> np.ndarray:
        """Returns which documents a filter lets through, by the rows of `vectors`."""
        if not self.masks:  # another thread may do the same; either is right
            documents = self.documents[: self.vectors.num_slots]
            self.masks.append(FilterMasks(MetadataColumns([document.metadata for document in documents])))
        matched: np.ndarray = self.masks[0].find(asked)[self.vectors.slots]
        return matched


class DocumentIndex:
    """Documents, their passages' vectors, and the fingerprint of the model that made them.

    Threads may add, remove and search at the same time: each call sees the documents of one moment, and the changes of
    a call appear in one step. `snapshot` lets several calls see the same moment.

    Args:
        dim: The width of the vectors.
        fingerprint: The fingerprint of the model; vectors of other models are refused.
        similarity: `cosine` or `dot`. Default: `cosine`.
        storage: How vectors are kept. Default: float32.
        codebook: As in `VectorIndex`. Default: learned if the storage needs it.
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
        self._state = _State(VectorIndex(dim, similarity, storage, codebook), [], {})
        self._is_snapshot = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._state.vectors)

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._find_slots(self._state)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._state.in_order())

    def __getstate__(self) -> dict[str, Any]:
        state = self._state
        vectors = state.vectors.copy()
        vectors.compact()
        return {
            "fingerprint": self.fingerprint,
            "vectors": vectors,
            "documents": state.in_order(),
            "next_number": state.next_number,
        }

    def __setstate__(self, values: dict[str, Any]) -> None:
        documents = values["documents"]
        slots = {document.id: slot for slot, document in enumerate(documents)}
        self.fingerprint = values["fingerprint"]
        self._state = _State(values["vectors"], documents, slots, values["next_number"])
        self._is_snapshot = False
        self._lock = threading.Lock()

    @property
    def vectors(self) -> VectorIndex:
        """The present vectors, for reading; `add` and `remove` change them together with the documents."""
        return self._state.vectors

    @property
    def next_number(self) -> int:
        """The number that becomes the id of the next document without one; no document has or had it."""
        return self._state.next_number

    @next_number.setter
    def next_number(self, number: int) -> None:
        with self._lock:
            self._state = dataclasses.replace(self._state, next_number=number)

    def snapshot(self) -> "DocumentIndex":
        """Returns the present index, without a copy; later changes to this index do not affect it."""
        made = DocumentIndex.__new__(DocumentIndex)
        made.fingerprint = self.fingerprint
        made._state = dataclasses.replace(self._state, slots=None)
        made._is_snapshot = True
        made._lock = threading.Lock()
        return made

    def get(self, document_id: str) -> Document | None:
        """Returns the document with an id, or None."""
        state = self._state
        slot = self._find_slots(state).get(document_id)
        return None if slot is None else state.documents[slot]

    def add(
        self,
        documents: Sequence[Document],
        counts: Sequence[int],
        vectors: np.ndarray | StoredVectors,
        *,
        fingerprint: str,
    ) -> None:
        """Adds documents; one with an existing id replaces the old document, and moves to the end of the order.

        Args:
            documents: The documents, with different ids.
            counts: The number of passages of each document.
            vectors: The passages' vectors, float32 `(passages, dim)`, in the documents' order, or stored vectors.
            fingerprint: The fingerprint of the model that made the vectors.

        Raises:
            FingerprintError: if another model made the existing vectors.
            InputError: if the counts or shapes do not fit, or an id is repeated; nothing has changed then.
        """
        self.add_parts([(documents, counts, vectors)], fingerprint=fingerprint)

    def add_parts(self, parts: Iterable[Part], *, fingerprint: str) -> None:
        """Adds documents in several parts, which appear in one step.

        Args:
            parts: Documents, counts and vectors, as for `add`; ids must differ across all parts. The parts are read in
                turn, while other writers wait.
            fingerprint: The fingerprint of the model that made the vectors.

        Raises:
            FingerprintError: if another model made the existing vectors.
            InputError: if the counts or shapes do not fit, or an id is repeated; nothing has changed then.
        """
        if fingerprint != self.fingerprint:
            raise FingerprintError(
                f"Vectors of one model cannot be mixed with another's. Expected: model {self.fingerprint[:12]}. "
                f"Received: model {fingerprint[:12]}. Encode all documents again with `reindex()`."
            )
        with self._lock:
            state = self._writable_state()
            vectors = state.vectors.copy()
            added: dict[str, Document] = {}
            for documents, counts, rows in parts:
                if len(documents) != len(counts):
                    raise InputError(
                        f"There must be one count per document. Received: {len(documents)} and {len(counts)}."
                    )
                for document in documents:
                    if document.id in added:
                        raise InputError(
                            f"Ids must be unique. Received: {document.id!r} twice. Leave out one of the documents."
                        )
                    added[document.id] = document
                vectors.add(rows, counts)
            slots = self._find_slots(state)
            replaced = [slots[document_id] for document_id in added if document_id in slots]
            if replaced:
                vectors.remove_slots(replaced)
            first = state.vectors.num_slots
            del state.documents[first:]  # an interrupted call may have left some
            state.documents.extend(added.values())
            slots.update(zip(added, range(first, first + len(added)), strict=True))
            numbers = [int(name) for name in added if name.isdecimal() and len(name) < 19]
            next_number = max(state.next_number + len(added), max(numbers, default=-1) + 1)
            self._state = _tidy(_State(vectors, state.documents, slots, next_number))

    def remove(self, ids: Iterable[str]) -> None:
        """Removes documents.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        ids = list(dict.fromkeys(ids))
        with self._lock:
            state = self._writable_state()
            slots = self._find_slots(state)
            missing = [document_id for document_id in ids if document_id not in slots]
            if missing:
                raise InputError(
                    f"`ids` must be in the index. Received: {', '.join(map(repr, missing[:5]))}"
                    f"{' and others' if len(missing) > 5 else ''}, not among the {len(self)} documents. "
                    "Nothing is removed."
                )
            vectors = state.vectors.copy()
            vectors.remove_slots([slots[document_id] for document_id in ids])
            for document_id in ids:
                del slots[document_id]
            self._state = _tidy(dataclasses.replace(state, vectors=vectors))

    def match(self, asked: Filter) -> np.ndarray:
        """Returns which documents a filter lets through, booleans `(documents,)`, in the documents' order.

        For a search with them, call both on a `snapshot`.
        """
        return self._state.match(asked)

    def search(
        self, queries: np.ndarray, top_k: int, *, more: int = 0, allowed: np.ndarray | None = None
    ) -> list[list[Hit]]:
        """Finds the best documents of each query vector, best first.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: The number of documents; all, if there are fewer.
            more: As in `VectorIndex.search`. Default: 0.
            allowed: Which documents may be found, as `match` returns it. Default: all.
        """
        state = self._state
        rows, scores = state.vectors.search(queries, top_k, more=more, allowed=allowed)
        slots = state.vectors.slots[rows]  # (queries, hits)
        return [
            [make_hit(state.documents[slot], score) for slot, score in zip(*hits, strict=True)]
            for hits in zip(slots.tolist(), scores.tolist(), strict=True)
        ]

    def search_passages(self, queries: np.ndarray, top_k: int) -> list[list[tuple[Document, int, float]]]:
        """Finds the best passages of all documents for each query vector, best first.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: The number of passages; all, if there are fewer.

        Returns:
            For each query, each passage's document, which of its passages it is, from 0, and its score.
        """
        state = self._state
        rows, scores = state.vectors.search(queries, top_k)
        counts, slots = state.vectors.counts, state.vectors.slots
        found = []
        for query, documents, best in zip(queries, rows.tolist(), scores.tolist(), strict=True):
            # A passage among the best is of a document among the best. Equal scores keep the order of the documents.
            listed: list[tuple[float, int, int]] = []
            for row, score in zip(documents, best, strict=True):
                own = [score] if counts[row] == 1 else state.vectors.score_vectors(query, row).tolist()
                listed += [(-each, row, place) for place, each in enumerate(own)]
            ranked = sorted(listed)[:top_k]
            found.append([(state.documents[slots[row]], place, -score) for score, row, place in ranked])
        return found

    def _find_slots(self, state: _State) -> dict[str, int]:
        """Returns id → slot; a snapshot makes the dict when it is first needed."""
        if state.slots is not None:
            return state.slots
        slots = {state.documents[slot].id: slot for slot in state.vectors.slots.tolist()}
        self._state = dataclasses.replace(state, slots=slots)
        return slots

    def _writable_state(self) -> _State:
        """Returns the state to change; a snapshot first copies what it shares."""
        if self._is_snapshot:
            state = self._state
            documents = state.documents[: state.vectors.num_slots]
            self._state = dataclasses.replace(state, documents=documents, slots=dict(self._find_slots(state)))
            self._is_snapshot = False
        return self._state


def make_hit(document: Document, score: float) -> Hit:
    """Makes a hit from a document."""
    return Hit(document.id, score, document.text, document.title, document.metadata)


def _tidy(state: _State) -> _State:
    """Returns the state without removed documents, if there are enough of these to be worth the time."""
    if not state.vectors.is_sparse:
        return state
    vectors, documents = state.vectors.copy(), state.in_order()
    vectors.compact()
    slots = {document.id: slot for slot, document in enumerate(documents)}
    return _State(vectors, documents, slots, state.next_number)
