"""What Python's own pools of processes lack."""

import contextlib
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_MENDED = (3, 11, 5)
_LOOK_SECONDS = 0.05


def shut_down(pool: ProcessPoolExecutor) -> None:
    """Cancels the tasks of a pool and waits until it has ended, also if one of its processes was killed.

    Before Python 3.11.5 (Debian 12 has 3.11.2) a pool's own `shutdown` waits for ever when a task was being written to
    a pipe that nobody reads any more (python/cpython#94777). Python mends it by closing the pipe; so does this.

    Args:
        pool: The pool.
    """
    private: Any = pool
    thread, queue = private._executor_manager_thread, private._call_queue
    if sys.version_info >= _MENDED or thread is None:
        pool.shutdown(wait=True, cancel_futures=True)
        return
    pool.shutdown(wait=False, cancel_futures=True)
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)
        if private._broken:
            with contextlib.suppress(OSError):
                queue._reader.close()
