"""A model with its state, replaced in one step."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tfchain.tasks.live_model import Current, LiveModel


class Model:
    """Notes whether it is kept unchanged."""

    is_kept = False

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        self.is_kept = True
        yield
        self.is_kept = False


def test_every_replacement_counts_as_a_change() -> None:
    first, second, third = Model(), Model(), Model()
    live: Any = LiveModel(first, "state")  # type: ignore[arg-type]
    assert live.snapshot() == Current(first, "state", 0)  # type: ignore[arg-type]
    live.model = second
    assert live.snapshot() == Current(second, "state", 1)  # type: ignore[arg-type]
    live.adopt(third, "other")
    assert live.snapshot() == Current(third, "other", 2)  # type: ignore[arg-type]
    assert (live.model, live.state, live.changes) == (third, "other", 2)


def test_the_block_keeps_the_model_that_it_began_with_and_its_state() -> None:
    first, second = Model(), Model()
    live: Any = LiveModel(first, "state")  # type: ignore[arg-type]
    with live.current() as current:
        assert first.is_kept
        live.adopt(second, "other")
        assert (current.model, current.state, current.changes) == (first, "state", 0)
    assert not first.is_kept


def test_a_state_is_made_again_if_it_was_replaced_meanwhile() -> None:
    live: Any = LiveModel(Model(), 1)  # type: ignore[arg-type]
    other = Model()

    def add(model: Any, state: int) -> int:
        assert model.is_kept
        if model is not other:
            live.adopt(other, 10)
        return state + 1

    live.update(add)
    assert (live.model, live.state) == (other, 11)
