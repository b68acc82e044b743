"""Thresholds for repeated looks at a stream, found by simulating streams that do not drift.

A monitor looks at its window again and again, and compares it with the same reference each time. A threshold for one
look is exceeded sooner or later. So whole streams are simulated: their items are drawn from the reference, and so is,
for each stream, the sample that stands for the reference, since that one is as accidental as the window. Of each
stream the largest value counts, and the threshold is what all but a small part of these stay below. The windows of a
simulated stream overlap as the monitor's do, so their correlation is accounted for.

A stream is a sequence of blocks of `stride` items, and a window some blocks that follow each other. The streams take
their blocks from one pool, so all products with the kernel are computed once, for the pool.
"""

from collections.abc import Mapping

import numpy as np

from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.mean_discrepancy import make_kernel

VECTORS = "vectors"  # the statistic of vectors; the others have the names of their scalars
SHARE_OF_VECTORS = 0.5  # of the false alarms that are allowed; the scalars share the rest
LEAST_BLOCKS, MOST_BLOCKS, BLOCKS_PER_LOOK = 400, 2_000, 10  # in the pool
MOST_PLACES = 64  # at which the cumulative shares of a scalar are compared


def find_thresholds(
    vectors: np.ndarray | None, scalars: Mapping[str, np.ndarray], config: DriftConfig, *, bandwidth: float = 1.0
) -> dict[str, float]:
    """Returns what each statistic stays below in a stream without drift.

    The allowed false alarms are divided: half of them for the vectors, the rest in equal parts for the scalars. The
    sum of the parts bounds the probability that any statistic raises an alarm.

    Args:
        vectors: The reference's, `(n, dim)`; None if there are none.
        scalars: Name → the reference's values, `(n,)`, in the same order.
        config: The window, the number of looks, the allowed false alarms.
        bandwidth: The width of the kernel.
    """
    size = len(vectors) if vectors is not None else len(next(iter(scalars.values())))
    generator = np.random.default_rng(config.seed)
    length = config.horizon // config.stride
    num_blocks = max(LEAST_BLOCKS, min(MOST_BLOCKS, BLOCKS_PER_LOOK * length))
    blocks = _draw(generator, size, (num_blocks, config.stride), config.burst)
    references = _draw(generator, size, (config.num_runs, size), config.burst)
    streams = np.stack([_shuffle(generator, num_blocks, length) for _ in range(config.num_runs)])
    shares = _share_out(config.false_alarms, list(scalars), has_vectors=vectors is not None)
    found = {}
    if vectors is not None:
        kernel = make_kernel(vectors, vectors, bandwidth)
        largest = _largest_discrepancies(kernel, blocks, references, streams, config)
        found[VECTORS] = _find_quantile(largest, shares[VECTORS])
    for name, values in scalars.items():
        largest = _largest_distances(CumulativeShares(values), values, blocks, references, streams, config)
        least = _bound_unseen(size, config, shares[name])
        found[name] = max(_find_quantile(largest, shares[name]), least)
    return found


class CumulativeShares:
    """A scalar's cumulative shares, at some places, for Kolmogorov-Smirnov distances.

    Args:
        values: The reference's values, `(n,)`. The places are all of them, or evenly spaced quantiles.
    """

    def __init__(self, values: np.ndarray) -> None:
        places = np.unique(values)
        if len(places) > MOST_PLACES:
            places = np.unique(np.quantile(values, np.linspace(0, 1, MOST_PLACES), method="lower"))
        self._places = places
        self.reference = self.measure(values)

    def measure(self, values: np.ndarray) -> np.ndarray:
        """Returns which share of some values is at most each place, `(places,)`; of rows of values, for each row."""
        ordered = np.sort(values, axis=-1).reshape(-1, values.shape[-1])
        counts = np.stack([np.searchsorted(row, self._places, side="right") for row in ordered])
        return (counts / values.shape[-1]).reshape(*values.shape[:-1], len(self._places))

    def distance(self, values: np.ndarray) -> float:
        """Returns the largest distance of some values' shares to the reference's."""
        return float(np.abs(self.measure(values) - self.reference).max())


def _share_out(false_alarms: float, scalars: list[str], *, has_vectors: bool) -> dict[str, float]:
    if not scalars:
        return {VECTORS: false_alarms}
    of_vectors = SHARE_OF_VECTORS * false_alarms if has_vectors else 0.0
    of_each = (false_alarms - of_vectors) / len(scalars)
    return {VECTORS: of_vectors, **dict.fromkeys(scalars, of_each)}


def _find_quantile(largest: np.ndarray, share: float) -> float:
    return float(np.quantile(largest, 1 - share, method="higher"))


def _bound_unseen(size: int, config: DriftConfig, share: float) -> float:
    """Returns which share of a window values that the reference does not have may make up without drift.

    What is missing among `n` items may still be `3/n` of all items (with 95 % confidence, the rule of three), so a
    reference without any unknown token does not mean that the first one is drift.
    """
    from scipy.stats import binom

    looks = max(config.horizon // config.stride, 1)
    return float(binom.ppf(1 - share / looks, config.window, min(3 / size, 1.0))) / config.window


def _draw(generator: np.random.Generator, size: int, shape: tuple[int, int], burst: int) -> np.ndarray:
    """Draws rows of items with replacement; with a burst, items that follow each other (a circular block bootstrap)."""
    rows, length = shape
    starts = generator.integers(size, size=(rows, -(-length // burst)))
    if burst == 1:
        return starts
    return ((starts[:, :, None] + np.arange(burst)) % size).reshape(rows, -1)[:, :length]


def _shuffle(generator: np.random.Generator, num_blocks: int, length: int) -> np.ndarray:
    """Returns a stream of blocks. None comes twice in a window: its items would all be alike."""
    rounds = [generator.permutation(num_blocks)[:length] for _ in range(-(-length // num_blocks))]
    return np.concatenate(rounds)[:length]


def _count(drawn: np.ndarray, size: int) -> np.ndarray:
    """Returns how often each item was drawn, float32 `(rows, size)`."""
    places = drawn + size * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=len(drawn) * size).reshape(len(drawn), size).astype(np.float32)


def _largest_discrepancies(
    kernel: np.ndarray, blocks: np.ndarray, references: np.ndarray, streams: np.ndarray, config: DriftConfig
) -> np.ndarray:
    """Returns the largest unbiased squared discrepancy of each stream's windows and its reference, `(runs,)`."""
    size, window, num_parts = len(kernel), config.window, config.window // config.stride
    kernel = kernel - kernel.mean()  # cancels out, and leaves smaller numbers to add up
    diagonal = float(kernel[0, 0])
    counts, sampled = _count(blocks, size), _count(references, size)
    towards = counts @ kernel  # (blocks, size)
    pairs = towards @ counts.T  # (blocks, blocks): sums of the kernel
    crossed = towards @ sampled.T  # (blocks, runs)
    within_reference = np.einsum("rn,rn->r", sampled @ kernel, sampled)
    of_reference = (within_reference - size * diagonal) / (size * (size - 1))
    num_windows = streams.shape[1] - num_parts + 1
    largest = np.empty(len(streams))
    for run, stream in enumerate(streams):
        within, cross = np.zeros(num_windows), np.zeros(num_windows)
        towards_reference = crossed[stream, run]
        for one in range(num_parts):
            cross += towards_reference[one : one + num_windows]
            for other in range(num_parts):
                within += pairs[stream[one : one + num_windows], stream[other : other + num_windows]]
        values = (within - window * diagonal) / (window * (window - 1)) - 2 * cross / (window * size)
        largest[run] = values.max() + of_reference[run]
    return largest


def _largest_distances(
    shares: CumulativeShares,
    values: np.ndarray,
    blocks: np.ndarray,
    references: np.ndarray,
    streams: np.ndarray,
    config: DriftConfig,
) -> np.ndarray:
    """Returns the largest Kolmogorov-Smirnov distance of each stream's windows and its reference, `(runs,)`."""
    num_parts = config.window // config.stride
    num_windows = streams.shape[1] - num_parts + 1
    of_blocks = shares.measure(values[blocks])  # (blocks, places)
    of_references = shares.measure(values[references])  # (runs, places)
    largest = np.empty(len(streams))
    for run, stream in enumerate(streams):
        parts = of_blocks[stream]
        windows = sum(parts[part : part + num_windows] for part in range(num_parts)) / num_parts
        largest[run] = np.abs(windows - of_references[run]).max()
    return largest
