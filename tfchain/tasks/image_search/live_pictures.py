"""Keeps a model and its encoded pictures together while threads add, remove, train and search."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfchain.data.pictures.reading import PictureItem
from tfchain.tasks.image_search.encoding import encode_again
from tfchain.tasks.image_search.picture_index import EncodedPictures, PictureIndex
from tfchain.tasks.live_model import Current, LiveModel

logger = logging.getLogger(__name__)


class LivePictures(LiveModel):
    """Pictures encoded by a model, and encoded again when the model changes. Threads may use all of it.

    Args:
        model: The model.
        state: The pictures. Default: none yet.
    """

    def __init__(self, model: Any, state: Any = None) -> None:
        super().__init__(model, state)
        self._numbering = threading.RLock()  # held while pictures are listed and numbered
        self._promised = 0  # pictures without a name have, or will get, the numbers below

    def adopt(self, model: Any, state: Any) -> None:
        """Replaces the model, such as after a training.

        `state`, the pictures at the start of the training, is ignored: the present ones stay.
        """
        self.model = model

    @contextlib.contextmanager
    def current_with(self, *, batch_size: int, progress: bool | None = None) -> Iterator[Current]:
        """Yields model and pictures, which do not change while the block runs; encodes pictures again if need be."""
        while True:
            model = self.model
            with model.unchanged():
                changes, state = self.changes, self.state
                if state is None or state.fingerprint == model.fingerprint:
                    yield Current(model, state, changes)
                    return
            self.encode_again(batch_size=batch_size, progress=progress)

    def encode_again(self, *, batch_size: int, progress: bool | None = None, forced: bool = False) -> None:
        """Encodes all pictures again, and replaces the vectors in one step; other writers wait meanwhile."""
        with self._lock:
            state = self._state
            if state is None or (state.fingerprint == self._model.fingerprint and not forced):
                return
            logger.info("Encoding %d pictures again.", len(state))
            self._replace(encode_again(self._model, state, batch_size=batch_size, progress=progress))

    def add(
        self,
        read: Callable[[int], Sequence[PictureItem]],
        encode: Callable[[Any, Sequence[PictureItem]], EncodedPictures],
    ) -> None:
        """Reads and encodes pictures, and adds them in one step.

        Pictures with an id that is there are replaced; if the model has changed, the others are encoded again.

        Args:
            read: From the number of the first picture without a name to the pictures. Threads get different numbers.
            encode: From the model and the pictures to encoded pictures; called again if the model changes meanwhile.

        Raises:
            InputError: if a picture cannot be read or encoded again; nothing is added then.
        """
        with self._numbering:
            first = max(0 if self.state is None else self.state.index.next_number, self._promised)
            items = read(first)
            promised = self._promised = first + len(items)
        try:
            while not self._try_to_add(items, encode):
                logger.info("The model has changed; encoding %d pictures again.", len(items))
        except BaseException:
            with self._numbering:
                if self._promised == promised:
                    self._promised = first
            raise

    def _try_to_add(
        self, items: Sequence[PictureItem], encode: Callable[[Any, Sequence[PictureItem]], EncodedPictures]
    ) -> bool:
        """Adds pictures; returns False if the model has changed meanwhile."""
        model = self.model
        with model.unchanged():
            fingerprint, added = model.fingerprint, encode(model, items)
        with self._lock:
            if self._model is not model or model.fingerprint != fingerprint:
                return False
            present = self._state or PictureIndex.empty(model.embedding_dim, fingerprint)
            if present.fingerprint != fingerprint:
                present = present.without({document.id for document in added.documents if document.id in present})
                present = encode_again(model, present)
            if present.fingerprint != fingerprint:
                return False
            self._replace(present.with_added(added))
            return True

    def remove(self, ids: list[str]) -> None:
        """Removes pictures by id.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        with self._lock:
            present = self._state or PictureIndex.empty(self._model.embedding_dim, self._model.fingerprint)
            self._replace(present.without(ids))

    def _replace(self, state: PictureIndex) -> None:
        self._state = state
        self.changes += 1
