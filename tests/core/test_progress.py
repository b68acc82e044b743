"""The progress bar: when it is shown, and where."""

import sys
from typing import Any

import pytest

from tfchain.core.progress import show_progress


class Bar:
    """Stands for tqdm's bar, and notes how it was made and what it was told."""

    made: list["Bar"]

    def __init__(self, **options: Any) -> None:
        self.options, self.steps = options, []
        self.made.append(self)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.steps.append("end")

    def update(self, steps: int) -> bool:
        self.steps.append(steps)
        return True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    Bar.made = []
    monkeypatch.setattr("tqdm.tqdm", Bar)
    return Bar.made


@pytest.mark.parametrize(
    ("shown", "is_terminal", "delay"),
    [(None, True, 1), (True, True, 0), (True, False, 0), (None, False, None), (False, True, None)],
)
def test_a_bar_is_shown_at_once_if_asked_for_and_otherwise_after_a_second_on_a_terminal(
    bars: list[Bar], monkeypatch: pytest.MonkeyPatch, shown: bool | None, is_terminal: bool, delay: int | None
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    with show_progress(7, "encoding", shown=shown) as advance:
        advance(3)
        advance(4)
    assert [(bar.options["delay"], bar.options["total"], bar.options["desc"], bar.steps) for bar in bars] == (
        [] if delay is None else [(delay, 7, "encoding", [3, 4, "end"])]
    )
    assert all(bar.options["file"] is sys.stderr for bar in bars)
