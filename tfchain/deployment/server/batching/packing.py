"""Chooses the requests that run together: texts of similar length, up to a number of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

# The padding that costs as much as a run of its own does: on two cores, one short text took all-MiniLM-L6-v2 12.5 ms in
# TensorFlow, and each further one in a batch 4 ms for its 20 tokens (benchmarks/batching.py).
FREE_PADDING = 48


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
    """Chooses the requests that run with the first one.

    The first request has waited longest and always runs. Others join it, those of similar length first and earlier
    ones before later ones, where the padding that this adds costs less than a run of its own, and as long as the rows
    times the longest row stay within `max_tokens`.

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
    first = sizes[0]
    chosen = [0]
    num_rows, longest = first.num_rows, first.num_tokens
    others = sorted(range(1, len(sizes)), key=lambda position: abs(sizes[position].num_tokens - first.num_tokens))
    for position in others:
        size = sizes[position]
        rows = num_rows + size.num_rows
        length = max(longest, size.num_tokens)
        padding = rows * length - num_rows * longest - size.num_rows * size.num_tokens
        if rows * length > max_tokens or padding > FREE_PADDING:
            continue
        chosen.append(position)
        num_rows, longest = rows, length
    return sorted(chosen)
