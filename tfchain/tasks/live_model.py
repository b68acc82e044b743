"""Holds a model and its task's state, read and replaced in one step while threads train and ask."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True)
class Current:
    """A model and its task's state at one moment.

    Args:
        model: The model: a `TextEncoder`, or another `core.model.Model`.
        state: The task's state.
        changes: The number of changes of model or state so far.
    """

    model: Any
    state: Any
    changes: int

    @property
    def text_encoder(self) -> "TextEncoder":
        """The model of a task on texts."""
        text_encoder: TextEncoder = self.model
        return text_encoder


class LiveModel:
    """A model and its task's state, for a task whose state changes only with the model.

    Threads may use all of it at the same time. Computations run inside `current`, and see a model with its state; a
    training waits to write its weights meanwhile.

    Args:
        model: The model.
        state: The task's state. Default: None.
    """

    def __init__(self, model: Any, state: Any = None) -> None:
        self.changes = 0
        self._model = model
        self._state = state
        self._lock = threading.RLock()
        self._updating = threading.Lock()

    @property
    def model(self) -> Any:
        """The model; replacing it keeps the state."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        with self._lock:
            self._model = model
            self.changes += 1

    @property
    def state(self) -> Any:
        """The task's state."""
        return self._state

    def snapshot(self) -> Current:
        """Returns the present model and state; a training may change the model's weights afterwards."""
        with self._lock:
            return Current(self._model, self._state, self.changes)

    def adopt(self, model: Any, state: Any) -> None:
        """Replaces model and state in one step, such as after a training or a compression."""
        with self._lock:
            self._model, self._state = model, state
            self.changes += 1

    def update(self, change: Callable[[Any, Any], Any]) -> None:
        """Replaces the state by what a function makes of model and state; one thread after the other.

        It is made again if model or state were replaced meanwhile, such as by a training that ended.

        Args:
            change: From model and state, which do not change while it runs, to the new state.
        """
        with self._updating:
            while True:
                with self.current() as current:
                    state = change(current.model, current.state)
                with self._lock:
                    if self.changes == current.changes:
                        self.adopt(current.model, state)
                        return

    @contextlib.contextmanager
    def current(self) -> Iterator[Current]:
        """Yields model and state, which do not change while the block runs."""
        current = self.snapshot()
        with current.model.unchanged():
            yield current
