"""A progress bar for what takes more than a second."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def show_progress(total: int | None, what: str, *, shown: bool | None = None) -> Iterator[Callable[[int], None]]:
    """Shows a bar on standard error while the block runs.

    Args:
        total: How many steps there are, None if that is not known.
        what: What is done, in a word or two.
        shown: True shows it at once, False never; None after a second, if standard error is a terminal.

    Yields:
        A function to call with the number of steps done since the last call.
    """
    hidden = shown is False or (shown is None and not sys.stderr.isatty())
    if hidden:
        yield lambda steps: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="text", delay=0 if shown else 1, leave=False, file=sys.stderr) as bar:
        yield lambda steps: bar.update(steps) and None
