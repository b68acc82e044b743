"""Runs an encoder on many texts: those of similar length go together, and the vectors come back in order."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

TOKENS_IN_BATCH = 2048  # more is no faster, and takes more memory: benchmarks/batches.py


def encode_in_batches(
    run: Callable[..., np.ndarray],
    take: Callable[[np.ndarray], tuple[Any, ...]],
    lengths: np.ndarray,
    *,
    batch_size: int = 32,
    tokens_in_batch: int = TOKENS_IN_BATCH,
    progress: Callable[[int], Any] | None = None,
    run_all: Callable[[Callable[[np.ndarray], np.ndarray], list[np.ndarray]], Iterable[np.ndarray]] = map,
) -> np.ndarray | None:
    """Vectors of texts, in the order given.

    Args:
        run: From what `take` gives, such as `token_ids` and `padding_mask`, int32 `(batch, length)`, to vectors,
            float32 `(batch, dim)`.
        take: From row numbers to the arguments of `run` for those texts.
        lengths: Tokens of each text, `(texts,)`.
        batch_size: The most texts in one step. Default: 32.
        tokens_in_batch: The most tokens in one step, if more than one text is in it. Default: 2048.
        progress: Called with the number of texts done after each step. Default: not.
        run_all: As `map`, such as an executor's, to take several steps at the same time. Default: one after the other.

    Returns:
        float32 `(texts, dim)`; None where there is no text.
    """
    vectors: np.ndarray | None = None
    batches = list(make_batches(lengths, batch_size, tokens_in_batch))
    for rows, part in zip(batches, run_all(lambda rows: run(*take(rows)), batches), strict=True):
        if vectors is None:
            vectors = np.empty((len(lengths), part.shape[-1]), dtype="float32")
        vectors[rows] = part
        if progress is not None:
            progress(len(rows))
    return vectors


def make_batches(lengths: np.ndarray, batch_size: int, tokens_in_batch: int = TOKENS_IN_BATCH) -> Iterator[np.ndarray]:
    """Puts texts of similar length together, longest first, within a number of texts and of tokens.

    Args:
        lengths: Tokens of each text, `(texts,)`.
        batch_size: The most texts in a batch.
        tokens_in_batch: The most tokens in a batch of more than one text. Default: 2048.

    Yields:
        Row numbers of one batch; each row comes once.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, min(batch_size, tokens_in_batch // longest))
        yield order[start : start + size]
        start += size


@contextlib.contextmanager
def map_on_threads(size: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that takes several steps at the same time; when the block ends early, steps not begun are left out."""
    executor = ThreadPoolExecutor(size, "tfchain-encode")
    try:
        yield executor.map
    finally:
        executor.shutdown(cancel_futures=True)
