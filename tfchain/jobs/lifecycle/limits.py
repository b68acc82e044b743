"""Limits of time and money for a cycle, and what it has spent."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from tfchain.core.errors import InputError, TfchainError
from tfchain.jobs.lifecycle.record import Record


class LimitReached(TfchainError):
    """A cycle has used up its time or money; what its steps have made is kept."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one cycle may use, over all its runs together.

    Args:
        hours: Hours of work; waiting for an approval does not count. Default: no limit.
        cost: Money, in the currency of the price. Default: no limit.
        price_per_core_hour: What one processor core costs per hour. Default: none, no costs are computed.
        cores: The cores that are paid for. Default: those that this process may use.

    Raises:
        InputError: if a number is not above 0, or `cost` comes without a price.
    """

    hours: float | None = None
    cost: float | None = None
    price_per_core_hour: float | None = None
    cores: int | None = None

    def __post_init__(self) -> None:
        for name in ("hours", "cost", "price_per_core_hour", "cores"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"`{name}` must be above 0. Received: {name}={value}.", argument=name)
        if self.cost is not None and self.price_per_core_hour is None:
            raise InputError(
                "`cost` needs `price_per_core_hour`, the price of one core for an hour. Received: none.",
                argument="cost",
            )

    def to_cost(self, seconds: float) -> float | None:
        """Returns what a time costs; None without a price."""
        if self.price_per_core_hour is None:
            return None
        cores = self.cores or len(os.sched_getaffinity(0))
        return seconds / 3600 * cores * self.price_per_core_hour

    def seconds_left(self, spent_seconds: float) -> float:
        """Returns how many seconds the cycle may still work: the smaller of what time and money allow."""
        left = float("inf") if self.hours is None else self.hours * 3600 - spent_seconds
        per_second = self.to_cost(1.0)
        if self.cost is not None and per_second is not None:
            left = min(left, self.cost / per_second - spent_seconds)
        return left

    def check(self, spent_seconds: float) -> None:
        """Checks that something is left.

        Raises:
            LimitReached: if nothing is.
        """
        if self.seconds_left(spent_seconds) > 0:
            return
        cost = self.to_cost(spent_seconds)
        spent = f"{spent_seconds / 3600:.4g} hours" + ("" if cost is None else f", {cost:.4g} in money")
        allowed = [] if self.hours is None else [f"{self.hours:g} hours"]
        allowed += [] if self.cost is None else [f"{self.cost:g} in money"]
        raise LimitReached(
            f"The cycle may use {' and '.join(allowed)}. Received: {spent} used. What is done is kept. Raise `limits` "
            "and run it again to go on, or begin a new cycle with --restart."
        )


def sum_seconds(records: Iterable[Record]) -> float:
    """Returns how long the steps of a cycle have worked, attempts that were killed included."""
    return sum(record.seconds for record in records)
