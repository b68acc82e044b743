"""Pictures with their vectors, captions and thumbnails: the state of an image search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.tasks.search.document_index import DocumentIndex


@dataclass(frozen=True, slots=True)
class PictureHit:
    """A picture that a search found.

    Args:
        id: The picture's id.
        score: The cosine of its vector and the query's.
        caption: Its caption; empty if it has none.
        metadata: The metadata that the user gave with it.
        thumbnail: A small JPEG of it.
    """

    id: str
    score: float
    caption: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class EncodedPictures:
    """Pictures as an index takes them.

    Args:
        documents: Ids, captions (as texts) and metadata.
        vectors: float32 `(pictures, dim)`.
        thumbnails: A small JPEG of each.
        inputs: The model's input of each before it is normalised, as a PNG; empty if it is not kept.
    """

    documents: Sequence[Document]
    vectors: np.ndarray
    thumbnails: Sequence[bytes]
    inputs: Sequence[bytes]


class PictureIndex:
    """Pictures, their vectors, and the fingerprint of the model that made them; it does not change once it is made.

    Args:
        index: Ids, captions, metadata and vectors.
        thumbnails: Id → a small JPEG.
        inputs: Id → the model's input as a PNG, from which vectors are made again; may lack some.
    """

    def __init__(
        self,
        index: DocumentIndex,
        thumbnails: Mapping[str, bytes] | None = None,
        inputs: Mapping[str, bytes] | None = None,
    ) -> None:
        self.index = index
        self.thumbnails = dict(thumbnails or {})
        self.inputs = dict(inputs or {})

    @classmethod
    def empty(cls, dim: int, fingerprint: str) -> PictureIndex:
        """Makes an index without pictures."""
        return cls(DocumentIndex(dim, fingerprint))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that made the vectors."""
        return self.index.fingerprint

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, picture_id: object) -> bool:
        return picture_id in self.index

    def with_added(self, added: EncodedPictures) -> PictureIndex:
        """Returns an index with more pictures; one with an id that is there replaces the old picture.

        Raises:
            InputError: if an id is repeated, or a vector is not finite.
        """
        index = self.index.snapshot()
        index.add(added.documents, [1] * len(added.documents), added.vectors, fingerprint=index.fingerprint)
        ids = [document.id for document in added.documents]
        thumbnails = {**self.thumbnails, **dict(zip(ids, added.thumbnails, strict=True))}
        kept = {name: content for name, content in self.inputs.items() if name not in set(ids)}
        kept |= {name: content for name, content in zip(ids, added.inputs, strict=True) if content}
        return PictureIndex(index, thumbnails, kept)

    def without(self, ids: Iterable[str]) -> PictureIndex:
        """Returns an index without some pictures.

        Raises:
            InputError: if an id does not exist.
        """
        gone = set(ids)
        index = self.index.snapshot()
        index.remove(gone)
        thumbnails = {name: content for name, content in self.thumbnails.items() if name not in gone}
        inputs = {name: content for name, content in self.inputs.items() if name not in gone}
        return PictureIndex(index, thumbnails, inputs)

    def with_vectors(self, vectors: np.ndarray, fingerprint: str) -> PictureIndex:
        """Returns an index of the same pictures with another model's vectors, in the same order."""
        documents = list(self.index)
        index = DocumentIndex(vectors.shape[1], fingerprint)
        index.add(documents, [1] * len(documents), vectors, fingerprint=fingerprint)
        index.next_number = max(index.next_number, self.index.next_number)
        return PictureIndex(index, self.thumbnails, self.inputs)

    def list_inputs(self) -> list[bytes]:
        """Returns the model's input of each picture, in the index's order.

        Raises:
            InputError: if one was not kept.
        """
        missing = [document.id for document in self.index if document.id not in self.inputs]
        if missing:
            raise InputError(
                f"The pictures must be encoded again, as the model has changed, and {len(missing)} were added with "
                f"keep=False, such as {missing[0]!r}. Add all of them again at once."
            )
        return [self.inputs[document.id] for document in self.index]

    def search(self, queries: np.ndarray, top_k: int) -> list[list[PictureHit]]:
        """Finds the best pictures of each query vector, best first.

        Args:
            queries: float32 `(queries, dim)`.
            top_k: The number of pictures; all, if there are fewer.
        """
        return [
            [PictureHit(hit.id, hit.score, hit.text, hit.metadata, self.thumbnails.get(hit.id, b"")) for hit in hits]
            for hits in self.index.search(queries, top_k)
        ]
