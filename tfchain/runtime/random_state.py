"""Keeps tfchain's own work from changing the random numbers of the program that calls it."""

import contextlib
import random
from collections.abc import Iterator


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Restores the state of Python's `random` after the block.

    Keras draws a seed from `random` for every layer it makes, even if the weights are then loaded from a file. Use this
    where every random value of the block is replaced. Numbers that another thread draws meanwhile are drawn again.
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
