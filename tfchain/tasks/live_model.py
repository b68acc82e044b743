"""A model and what its task keeps beside it, taken and exchanged in one step while threads train and ask."""

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
        state: What the task keeps beside it.
        changes: How often model or state had changed.
    """

    text_encoder: TextEncoder
    state: Any
    changes: int


class LiveModel:
    """A model and its task's state, for a task whose state changes with the model alone.

    Threads may do all of it at the same time. What computes takes place in `current`, and sees one model with its
    state; a training waits with its weights meanwhile.

    Args:
        text_encoder: Tokenizer and encoder.
        state: What the task keeps beside it. Default: None.
    """

    def __init__(self, text_encoder: TextEncoder, state: Any = None) -> None:
        self.changes = 0
        self._text_encoder = text_encoder
        self._state = state
        self._lock = threading.RLock()

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes; the state stays when another takes its place."""
        return self._text_encoder

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        with self._lock:
            self._text_encoder = text_encoder
            self.changes += 1

    @property
    def state(self) -> Any:
        """What the task keeps beside the model."""
        return self._state

    def look(self) -> Current:
        """Returns model and state of one moment; a training may change the model's weights afterwards."""
        with self._lock:
            return Current(self._text_encoder, self._state, self.changes)

    def adopt(self, text_encoder: TextEncoder, state: Any) -> None:
        """Takes the model and the state that a training or a compression has made, in one step."""
        with self._lock:
            self._text_encoder, self._state = text_encoder, state
            self.changes += 1

    @contextlib.contextmanager
    def current(self) -> Iterator[Current]:
        """Yields model and state, as they are and stay while the block runs."""
        current = self.look()
        with current.text_encoder.unchanged():
            yield current
