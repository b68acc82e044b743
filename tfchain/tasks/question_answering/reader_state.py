"""What a reader keeps beside its model."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReaderState:
    """What a reader keeps beside its model.

    Args:
        threshold: How far the logit of no answer must be above the best span's for no answer to be given; None if there
            is always an answer. Default: None.
        sample: Joined pairs of the training, on which `export` calibrates int8. Default: none.
        misaligned: The ids of the questions that the last training left out. Default: none.
    """

    threshold: float | None = None
    sample: tuple[str, ...] = ()
    misaligned: tuple[str, ...] = ()


def to_state(state: Any) -> ReaderState:
    """Returns a state; that of a reader which was not trained here, if there is none."""
    return ReaderState() if state is None else state
