"""Tokenizes windows of texts ahead of their use and in their order: in a thread, or in worker processes."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.pairs.token_store import TokenStore
from tfchain.runtime.fork import is_tensorflow_started, start_worker
from tfchain.runtime.process_pool import shut_down

WINDOWS_AHEAD = 2  # per worker, so that none waits while the batches of another's window are used
Window = tuple[int, int, Sequence[Any], int]  # epoch, number, texts, how many of its first batches are left out
Stored = tuple[int, int, TokenStore, int]
_TOKENIZE: Any  # in a worker


def store_windows(windows: Iterator[Window], make_store: Callable[[Sequence[Any]], TokenStore]) -> Generator[Stored]:
    """Yields windows with their token ids; makes those of a window while the one before is used.

    Args:
        windows: The windows; read in the thread, too.
        make_store: Makes the token ids of a window's texts.
    """

    def make_next() -> Stored | None:
        found = next(windows, None)
        return None if found is None else (*found[:2], make_store(found[2]), found[3])

    with ThreadPoolExecutor(1, thread_name_prefix="token-batches") as pool:
        coming = pool.submit(make_next)
        while (stored := coming.result()) is not None:
            coming = pool.submit(make_next)
            yield stored


def store_windows_apart(windows: Iterator[Window], tokenize: Any, num_workers: int) -> Generator[Stored]:
    """Yields windows with their token ids, which worker processes make.

    Workers are forked when there is a second window, and end with the process that forked them.

    Args:
        windows: The windows.
        tokenize: As `token_batches` takes it; it need not be picklable.
        num_workers: The number of processes.

    Raises:
        InputError: if TensorFlow has started in this process.
        TfchainError: if a worker was killed.
    """
    head = list(islice(windows, 2))
    if len(head) < 2:  # not worth a fork
        yield from store_windows(iter(head), lambda texts: TokenStore.build([texts], tokenize))
        return
    windows = chain(head, windows)
    del head  # the chain lets go of each window
    if is_tensorflow_started():
        raise InputError(
            "`num_workers` must be 1 once TensorFlow runs in this process, since its threads do not live on in forked "
            f"workers. Received: num_workers={num_workers}. Read the batches before a model is loaded, or use "
            "num_workers=1.",
            argument="num_workers",
        )
    waiting: deque[tuple[int, int, int, Future[TokenStore]]] = deque()
    # Workers end with the thread that forked them, and another thread than this one may take the last batches.
    forker = ThreadPoolExecutor(1, thread_name_prefix="token-batches")
    pool = ProcessPoolExecutor(
        num_workers, mp_context=get_context("fork"), initializer=_start, initargs=(tokenize, os.getpid())
    )
    try:
        forker.submit(lambda: pool.submit(os.getpid)).result()  # the first task forks all workers
        for epoch, number, texts, skipped in windows:
            waiting.append((epoch, number, skipped, pool.submit(_make_store, texts)))
            if len(waiting) >= WINDOWS_AHEAD * num_workers:
                yield _take(*waiting.popleft())
        while waiting:
            yield _take(*waiting.popleft())
    except BrokenProcessPool as error:
        raise TfchainError(
            "A worker that tokenizes was killed; if by the system, then for want of memory. Use fewer workers "
            "(`num_workers`), or smaller windows (`window_batches`), and go on from the last position."
        ) from error
    finally:
        shut_down(pool)
        forker.shutdown()


def _take(epoch: int, number: int, skipped: int, future: "Future[TokenStore]") -> Stored:
    return epoch, number, future.result(), skipped


def _start(tokenize: Any, parent: int) -> None:
    global _TOKENIZE
    start_worker(parent)
    _TOKENIZE = tokenize


def _make_store(texts: Sequence[str]) -> TokenStore:
    return TokenStore.build([texts], _TOKENIZE)
