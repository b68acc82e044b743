"""When requests come: at random times (Poisson), or in bursts (a Poisson process that switches between two rates)."""

from dataclasses import dataclass

import numpy as np

from tfchain.core.errors import InputError


@dataclass(frozen=True)
class Burst:
    """Traffic that comes in bursts; the mean rate stays the same.

    Times between the switches are exponential: a Markov-modulated Poisson process of two states.

    Args:
        factor: The rate within a burst over the mean rate, at least 1; 1 is Poisson traffic without bursts.
        share: The share of the time that bursts take, above 0 and below 1. Default: 0.1.
        seconds: The mean length of a burst. Default: 5.

    Raises:
        InputError: if a value is not possible, or bursts alone would be more than all traffic.
    """

    factor: float = 1.0
    share: float = 0.1
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not 0 < self.seconds < float("inf"):
            raise InputError(
                f"A burst's `share` must be above 0 and below 1, and its `seconds` positive. "
                f"Received: share={self.share!r}, seconds={self.seconds!r}."
            )
        if not 1 <= self.factor <= 1 / self.share:
            raise InputError(
                f"A burst's `factor` must be at least 1, and at most {1 / self.share:g} if bursts take {self.share:.0%}"
                f" of the time: no traffic is left outside of them then. Received: factor={self.factor!r}.",
                argument="factor",
            )

    @property
    def is_poisson(self) -> bool:
        """Whether there are no bursts."""
        return self.factor == 1

    @property
    def period_seconds(self) -> float:
        """The mean time from one burst's beginning to the next one's; 0 without bursts."""
        return 0.0 if self.is_poisson else self.seconds / self.share


def make_arrivals(rate: float, count: int, *, burst: Burst | None = None, seed: int = 0) -> np.ndarray:
    """Makes the times of requests.

    Args:
        rate: The mean number a second.
        count: How many; with bursts about so many, in whole periods.
        burst: The bursts. Default: none.
        seed: Of the random numbers. With the same seed, another rate gives the same times, only closer together.

    Returns:
        Seconds in ascending order, float64 `(count,)`.
    """
    generator = np.random.default_rng(seed)
    if burst is None or burst.is_poisson:
        return np.cumsum(generator.exponential(size=count)) / rate
    outside = (1 - burst.share * burst.factor) / (1 - burst.share)  # the rate there over the mean rate
    periods = max(1, round(count / (rate * burst.period_seconds)))
    lengths = generator.exponential(size=(periods, 2))
    lengths *= [burst.period_seconds - burst.seconds, burst.seconds]  # first outside, then within
    # In a time of its own that passes in proportion to the rate, the process is Poisson with rate 1.
    rates = np.tile([outside * rate, burst.factor * rate], periods)
    ends = np.cumsum(lengths.ravel())
    own_ends = np.cumsum(lengths.ravel() * rates)
    own_times = np.cumsum(generator.exponential(size=int(own_ends[-1] + 6 * own_ends[-1] ** 0.5) + 10))
    own_times = own_times[own_times < own_ends[-1]]
    return np.interp(own_times, np.concatenate([[0.0], own_ends]), np.concatenate([[0.0], ends]))
