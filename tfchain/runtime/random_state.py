"""What tfchain makes on its way leaves the random numbers of the program that calls it as they were."""

import contextlib
import random
from collections.abc import Iterator


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Gives Python's random numbers their state back after the block.

    Keras draws a seed from them for every layer that it makes, also where the weights are set from a file next. Use it
    where all that is random in the block is replaced; what another thread draws meanwhile is drawn again.
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
