"""How alike two rankings are: overlap of the first k, and rank-biased overlap."""

from collections.abc import Sequence

from tfchain.core.errors import InputError

PERSISTENCE = 0.9  # the first ten places get 86 % of the weight
TOP = 10


def find_overlap(first: Sequence[str], second: Sequence[str], *, top: int = TOP) -> float:
    """Returns the share of the first places' names that both rankings have.

    Args:
        first: Names, best first.
        second: Names, best first.
        top: How many places count; fewer if both rankings are shorter. Default: 10.

    Returns:
        A number from 0 to 1; 1 for two empty rankings.
    """
    left, right = set(first[:top]), set(second[:top])
    places = max(len(left), len(right))
    return len(left & right) / places if places else 1.0


def find_rank_biased_overlap(first: Sequence[str], second: Sequence[str], *, persistence: float = PERSISTENCE) -> float:
    """Returns the rank-biased overlap of two rankings, extrapolated from their ends.

    The agreement at each depth counts with a weight that falls by `persistence` from place to place: a change at the
    top counts more. Webber, Moffat and Zobel (2010), "A similarity measure for indefinite rankings", equation 32, which
    takes rankings of different lengths.

    Args:
        first: Names, best first, each once.
        second: Names, best first, each once.
        persistence: `p` in (0, 1). Default: 0.9.

    Returns:
        A number from 0 to 1; 1 for two empty rankings, and 0 if only one is empty.

    Raises:
        InputError: if `persistence` is out of range, or a ranking repeats a name.
    """
    if not 0 < persistence < 1:
        raise InputError(f"`persistence` must be above 0 and below 1. Received: persistence={persistence!r}.")
    for ranking in (first, second):
        if len(set(ranking)) < len(ranking):
            raise InputError(f"A ranking must have each name once. Received: {list(ranking)!r:.100}.")
    short, long = sorted((first, second), key=len)
    if not short:
        return 1.0 if not long else 0.0
    overlaps = _count_overlaps(short, long)
    num_short, num_long = len(short), len(long)
    common, end = overlaps[num_short - 1], overlaps[-1]
    total = sum(overlaps[depth - 1] / depth * persistence**depth for depth in range(1, num_long + 1))
    total += sum(
        common * (depth - num_short) / (num_short * depth) * persistence**depth
        for depth in range(num_short + 1, num_long + 1)
    )
    rest = ((end - common) / num_long + common / num_short) * persistence**num_long
    return (1 - persistence) / persistence * total + rest


def _count_overlaps(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Returns how many names both rankings have in their first 1, 2, … places; the short one ends earlier."""
    left: set[str] = set()
    right: set[str] = set()
    counts, common = [], 0
    for depth, name in enumerate(long):
        right.add(name)
        common += name in left
        if depth < len(short):
            left.add(short[depth])
            common += short[depth] in right
        counts.append(common)
    return counts
