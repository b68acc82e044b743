"""Chooses the requests that run together: texts of similar length, up to a number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

# What a run costs besides its tokens, in tokens: all-MiniLM-L6-v2 in TensorFlow took 9.4 ms of a processor a run and
# 0.23 ms a token, padding included, over 1 to 16 texts of 8 to 80 tokens.
RUN_TOKENS = 40
MOST_CANDIDATES = 32  # more requests are packed later: the search takes the square of their number


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a request.

    Args:
        num_rows: The number of rows.
        num_tokens: The tokens of the longest row; the others are padded to it.
    """

    num_rows: int
    num_tokens: int


def pack(sizes: Sequence[Size], max_tokens: int) -> list[int]:
    """Chooses the requests that run with the first one, which has waited longest.

    The waiting requests, sorted by length, are divided into batches such that all of them together cost least, where a
    batch costs `RUN_TOKENS` and its rows times its longest row. The batch of the first request is the answer.

    Args:
        sizes: The sizes of the waiting requests of a signature, in the order of their arrival.
        max_tokens: The most tokens in a batch of several requests, padding included.

    Returns:
        The positions of the chosen requests, ascending; the first is 0.

    Example:
        Three short texts, and one that is too long to run with them, of 2,048 tokens at most:

        >>> pack([Size(1, 10), Size(1, 12), Size(1, 500), Size(1, 9)], 2048)
        [0, 1, 3]
    """
    if len(sizes) == 1:
        return [0]
    order = sorted(range(min(len(sizes), MOST_CANDIDATES)), key=lambda position: sizes[position].num_tokens)
    ends = _divide([sizes[position] for position in order], max_tokens)
    first = order.index(0)
    start = 0
    while ends[start] <= first:
        start = ends[start]
    return sorted(order[start : ends[start]])


def _divide(sizes: Sequence[Size], max_tokens: int) -> list[int]:
    """Returns, for a batch that starts at each place of the sorted sizes, where it ends; the largest of equal cost."""
    count = len(sizes)
    costs = [0] * (count + 1)
    ends = [count] * count
    for start in reversed(range(count)):
        best: int | None = None
        num_rows = 0
        for end in range(start, count):
            size = sizes[end]
            num_rows += size.num_rows
            tokens = num_rows * size.num_tokens
            if tokens > max_tokens and end > start:
                break
            cost = RUN_TOKENS + tokens + costs[end + 1]
            if best is None or cost <= best:
                best, ends[start] = cost, end + 1
        costs[start] = best or 0
    return ends
