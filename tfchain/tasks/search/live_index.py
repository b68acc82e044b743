"""A model and the documents that it has encoded, kept together while threads add, remove, train and search."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfchain.core.ids import to_ids
from tfchain.core.types import Document
from tfchain.data.documents.reading import DocumentSource, read_documents
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, encode_documents, fill_index, make_index, new_index

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoding:
    """How documents are encoded.

    Args:
        passages: How long documents are treated.
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
    """Documents that are encoded by a model, and again when that has changed.

    Threads may do all of it at the same time. Searches, saves and exports take place in `current`, and see one model
    and its documents. Those that write wait for each other, but not while they encode what they add. Locks are taken
    in one order: of writers, of the weights, of the index.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents. Default: none yet.
    """

    def __init__(self, text_encoder: TextEncoder, index: DocumentIndex | None = None) -> None:
        self.changes = 0
        self._text_encoder = text_encoder
        self._index = index
        self._lock = threading.RLock()  # of those that write
        self._numbering = threading.RLock()  # of those that read documents in
        self._promised = 0  # numbers below are given to documents without an id, or will be

    def __len__(self) -> int:
        index = self._index
        return 0 if index is None else len(index)

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes; another one makes the index stale."""
        return self._text_encoder

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        with self._lock:
            self._text_encoder = text_encoder
            self.note_change()

    @property
    def index(self) -> DocumentIndex:
        """The documents; an empty index where none were ever added."""
        with self._lock:
            if self._index is None:
                self._index = new_index(self._text_encoder)
            return self._index

    @property
    def state(self) -> DocumentIndex | None:
        """The documents; None where none were ever added."""
        return self._index

    def look(self) -> Current:
        """Returns the model and its documents of one moment; both may change afterwards."""
        with self._lock:
            return Current(self._text_encoder, self._index, self.changes)

    def adopt(self, text_encoder: TextEncoder, index: DocumentIndex | None) -> None:
        """Takes the model that a training or a compression has made.

        The documents stay those that are here, as others may have been added since: `index`, those of its beginning, is
        not taken.
        """
        self.text_encoder = text_encoder

    def note_change(self) -> None:
        """Counts a change, of the documents or of the model."""
        with self._lock:
            self.changes += 1

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since the documents were encoded."""
        index = self._index
        return index is not None and index.fingerprint != self._text_encoder.fingerprint

    @contextlib.contextmanager
    def current(self, encoding: Encoding) -> Iterator[Current]:
        """Yields the model and its documents, as they are and stay while the block runs.

        What other threads add or remove meanwhile is not seen, and a training waits with its weights.

        Args:
            encoding: How the documents are encoded again, if the model has changed.
        """
        while True:
            text_encoder = self._text_encoder
            with text_encoder.unchanged():
                changes, index = self.changes, self._index
                if index is None or index.fingerprint == text_encoder.fingerprint:
                    yield Current(text_encoder, None if index is None else index.snapshot(), changes)
                    return
            self.encode_again(encoding, only_if_stale=True)

    def add(self, documents: DocumentSource, encoding: Encoding) -> None:
        """Reads and encodes documents, and adds them in one step.

        Raises:
            InputError: if a document cannot be read, is not text, or comes twice; nothing is added then.
        """
        with self._numbering:
            first = max(self.index.next_number, self._promised)
            read = list(read_documents(documents, first_number=first))
            promised = self._promised = first + len(read)
        try:
            while not self._try_to_add(read, encoding):
                logger.info("The model has changed meanwhile: encoding %d documents again.", len(read))
        except BaseException:
            with self._numbering:
                if self._promised == promised:
                    self._promised = first
            raise

    def remove(self, ids: Any) -> None:
        """Removes documents by id.

        Raises:
            InputError: if an id is not there; nothing is removed then.
        """
        wanted = to_ids(ids)
        with self._lock:
            self.index.remove(wanted)
            self.note_change()

    def encode_again(self, encoding: Encoding, *, only_if_stale: bool = False) -> None:
        """Encodes all documents again, and takes the new vectors in one step; who adds or removes waits meanwhile.

        Args:
            encoding: How.
            only_if_stale: Whether to leave it if the model made the vectors that are there. Default: False.
        """
        with self._lock:
            text_encoder, old = self._text_encoder, self._index
            if old is None:
                return
            with text_encoder.unchanged():
                if only_if_stale and old.fingerprint == text_encoder.fingerprint:
                    return  # another thread was quicker
                logger.info("Encoding %d documents again.", len(old))
                index = make_index(text_encoder, list(old), encoding.passages, **encoding.options)
            index.next_number = max(index.next_number, old.next_number)
            self._index = index
            self.note_change()

    def _try_to_add(self, documents: list[Document], encoding: Encoding) -> bool:
        """Adds documents, unless the index has got another model while they were encoded."""
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
