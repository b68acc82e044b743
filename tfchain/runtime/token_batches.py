"""Runs an encoder on many texts: batches texts of similar length, and returns the vectors in the original order."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

TOKENS_IN_BATCH = 2048  # more is not faster, and takes more memory: benchmarks/batches.py


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
    """Encodes texts, and returns their vectors in the order given.

    Args:
        run: Takes what `take` returns, such as `token_ids` and `padding_mask`, int32 `(batch, length)`; returns
            vectors, float32 `(batch, dim)`.
        take: Takes row numbers; returns the arguments of `run` for those texts.
        lengths: Tokens of each text, `(texts,)`.
        batch_size: The maximum number of texts in one step. Default: 32.
        tokens_in_batch: The maximum number of tokens in a step of more than one text. Default: 2048.
        progress: Called after each step with the number of texts in it. Default: no call.
        run_all: A function like `map`, such as an executor's, to run several steps at once. Default: `map`, which runs
            one step after the other.

    Returns:
        float32 `(texts, dim)`; None if there are no texts.
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
    """Groups texts of similar length, longest first, up to a number of texts and of tokens per batch.

    Args:
        lengths: Tokens of each text, `(texts,)`.
        batch_size: The maximum number of texts in a batch.
        tokens_in_batch: The maximum number of tokens in a batch of more than one text. Default: 2048.

    Yields:
        The row numbers of a batch; each row appears once.
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
    """Yields a `map` that runs several steps at once; if the block ends early, steps not yet begun are skipped."""
    executor = ThreadPoolExecutor(size, "tfchain-encode")
    try:
        yield executor.map
    finally:
        executor.shutdown(cancel_futures=True)
