"""What Python's own pools of processes lack."""

import sys
from concurrent.futures import ProcessPoolExecutor

_MENDED = (3, 11, 5)


def let_go(pool: ProcessPoolExecutor) -> None:
    """Lets a pool of which a process was killed shut down.

    Before Python 3.11.5 (Debian 12 has 3.11.2) its `shutdown` waits for ever when a task was being written to a pipe
    that nobody reads any more (python/cpython#94777). Python mends it by closing the pipe; so does this.

    Args:
        pool: The pool, which has raised `BrokenProcessPool`.
    """
    queue = getattr(pool, "_call_queue", None)
    if sys.version_info < _MENDED and queue is not None:
        queue._reader.close()
