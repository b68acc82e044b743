"""A progress bar for work that takes more than a second."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def show_progress(total: int | None, what: str, *, shown: bool | None = None) -> Iterator[Callable[[int], None]]:
    """Shows a bar on standard error while the block runs.

    Args:
        total: The number of steps; None if it is not known.
        what: The name of the work, in a word or two.
        shown: True shows the bar at once, False never; None shows it after a second if standard error is a terminal.
            Default: None.

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
