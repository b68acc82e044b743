"""Keeps a model and its encoded documents together while threads add, remove, train and search."""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.ids import to_ids
from tfchain.core.types import Document
from tfchain.data.documents.reading import DocumentReader, DocumentSource
from tfchain.data.steps.record import Record
from tfchain.data.steps.run import StepsRun, stream
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, encode_documents, fill_index, make_index, new_index

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoding:
    """How documents are encoded.

    Args:
        passages: How to handle documents longer than the maximum length.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.
    """

    passages: PassageConfig
    batch_size: int = 32
    progress: bool | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of `encode_documents` and `make_index`."""
        return {"batch_size": self.batch_size, "progress": self.progress}


class LiveIndex:
    """Documents encoded by a model, and encoded again when the model changes.

    Threads may use all of it at the same time. Searches, saves and exports run inside `current`, and see a model and
    its documents. Writers wait for each other, but not while they encode. Locks are taken in a fixed order: writers,
    weights, index.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents. Default: none yet.
    """

    def __init__(self, text_encoder: TextEncoder, index: DocumentIndex | None = None) -> None:
        self.changes = 0
        self._text_encoder = text_encoder
        self._index = index
        self._lock = threading.RLock()  # held by writers
        self._numbering = threading.RLock()  # held while documents are read and numbered
        self._promised = 0  # documents without an id have, or will get, the numbers below

    def __len__(self) -> int:
        index = self._index
        return 0 if index is None else len(index)

    @property
    def model(self) -> TextEncoder:
        """The model; replacing it makes the index stale."""
        return self._text_encoder

    @model.setter
    def model(self, text_encoder: TextEncoder) -> None:
        with self._lock:
            self._text_encoder = text_encoder
            self.note_change()

    @property
    def index(self) -> DocumentIndex:
        """The documents; an empty index if none were ever added."""
        with self._lock:
            if self._index is None:
                self._index = new_index(self._text_encoder)
            return self._index

    @property
    def state(self) -> DocumentIndex | None:
        """The documents; None if none were ever added."""
        return self._index

    def snapshot(self) -> Current:
        """Returns the present model and documents; both may change afterwards."""
        with self._lock:
            return Current(self._text_encoder, self._index, self.changes)

    def adopt(self, text_encoder: TextEncoder, index: DocumentIndex | None) -> None:
        """Replaces the model, such as after a training or a compression.

        `index`, the documents at the start of the training, is ignored: the present documents stay, as others may have
        been added since.
        """
        self.model = text_encoder

    def note_change(self) -> None:
        """Counts a change of the documents or the model."""
        with self._lock:
            self.changes += 1

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since the documents were encoded."""
        index = self._index
        return index is not None and index.fingerprint != self._text_encoder.fingerprint

    @contextlib.contextmanager
    def current(self, encoding: Encoding) -> Iterator[Current]:
        """Yields the model and its documents, which do not change while the block runs.

        Additions and removals by other threads are not visible, and a training waits to write its weights.

        Args:
            encoding: How to encode the documents again, if the model has changed.
        """
        while True:
            text_encoder = self._text_encoder
            with text_encoder.unchanged():
                changes, index = self.changes, self._index
                if index is None or index.fingerprint == text_encoder.fingerprint:
                    yield Current(text_encoder, None if index is None else index.snapshot(), changes)
                    return
            self.encode_again(encoding, only_if_stale=True)

    def add(self, documents: DocumentSource | DocumentReader, encoding: Encoding, run: StepsRun | None = None) -> int:
        """Reads and encodes documents, and adds them in one step.

        Args:
            documents: The documents, or a reader of them; its numbers are set to go on from the index's.
            encoding: How to encode them.
            run: Steps that the documents pass first. Default: none.

        Returns:
            How many documents were read, before any step.

        Raises:
            InputError: if a document cannot be read or is not text, or an id is repeated; nothing is added then.
        """
        with self._numbering:
            reader = documents if isinstance(documents, DocumentReader) else DocumentReader(documents)
            first = reader.next_number = max(self.index.next_number, self._promised)
            read = list(reader)
            promised = self._promised = reader.next_number
        number = len(read)
        try:
            if run is not None:
                read = list(DocumentReader(check_documents(stream(read, run))))
            while not self._try_to_add(read, encoding):
                logger.info("The model has changed; encoding %d documents again.", len(read))
        except BaseException:
            with self._numbering:
                if self._promised == promised:
                    self._promised = first
            raise
        return number

    def remove(self, ids: Any) -> None:
        """Removes documents by id.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        wanted = to_ids(ids)
        with self._lock:
            self.index.remove(wanted)
            self.note_change()

    def encode_again(self, encoding: Encoding, *, only_if_stale: bool = False) -> None:
        """Encodes all documents again, and replaces the vectors in one step; other writers wait meanwhile.

        Args:
            encoding: How to encode them.
            only_if_stale: Whether to do nothing if the model made the existing vectors. Default: False.
        """
        with self._lock:
            text_encoder, old = self._text_encoder, self._index
            if old is None:
                return
            with text_encoder.unchanged():
                if only_if_stale and old.fingerprint == text_encoder.fingerprint:
                    return  # another thread has already done it
                logger.info("Encoding %d documents again.", len(old))
                index = make_index(text_encoder, list(old), encoding.passages, **encoding.options)
            index.next_number = max(index.next_number, old.next_number)
            self._index = index
            self.note_change()

    def _try_to_add(self, documents: list[Document], encoding: Encoding) -> bool:
        """Adds documents; returns False if the index got another model while they were encoded."""
        with self.current(encoding) as current:
            text_encoder = current.text_encoder
            fingerprint = text_encoder.fingerprint
            parts = list(encode_documents(text_encoder, documents, encoding.passages, **encoding.options))
        with self._lock:
            if self.index.fingerprint != fingerprint:
                return False
            fill_index(self.index, parts, fingerprint=fingerprint)
            self.note_change()
            return True


def check_documents(records: Iterable[Record]) -> Iterator[Document]:
    """Yields what steps made, if they are documents.

    Raises:
        InputError: if a step made rows.
    """
    for record in records:
        if not isinstance(record, Document):
            raise InputError(
                f"The steps of `add` must pass on documents. Received: a row with the columns {', '.join(record)}. "
                "Make rows to train on with `prepare`."
            )
        yield record
