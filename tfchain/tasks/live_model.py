"""Holds a model and its task's state, read and replaced in one step while threads train and ask."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True)
class Current:
    """A model and its task's state at one moment.

    Args:
        text_encoder: Tokenizer and encoder.
        state: The task's state.
        changes: The number of changes of model or state so far.
    """

    text_encoder: TextEncoder
    state: Any
    changes: int


class LiveModel:
    """A model and its task's state, for a task whose state changes only with the model.

    Threads may use all of it at the same time. Computations run inside `current`, and see a model with its state; a
    training waits to write its weights meanwhile.

    Args:
        text_encoder: Tokenizer and encoder.
        state: The task's state. Default: None.
    """

    def __init__(self, text_encoder: TextEncoder, state: Any = None) -> None:
        self.changes = 0
        self._text_encoder = text_encoder
        self._state = state
        self._lock = threading.RLock()

    @property
    def text_encoder(self) -> TextEncoder:
        """The model; replacing it keeps the state."""
        return self._text_encoder

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        with self._lock:
            self._text_encoder = text_encoder
            self.changes += 1

    @property
    def state(self) -> Any:
        """The task's state."""
        return self._state

    def snapshot(self) -> Current:
        """Returns the present model and state; a training may change the model's weights afterwards."""
        with self._lock:
            return Current(self._text_encoder, self._state, self.changes)

    def adopt(self, text_encoder: TextEncoder, state: Any) -> None:
        """Replaces model and state in one step, such as after a training or a compression."""
        with self._lock:
            self._text_encoder, self._state = text_encoder, state
            self.changes += 1

    @contextlib.contextmanager
    def current(self) -> Iterator[Current]:
        """Yields model and state, which do not change while the block runs."""
        current = self.snapshot()
        with current.text_encoder.unchanged():
            yield current
