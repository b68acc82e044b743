"""A part of many items that stands for all of them, the same each time."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most so many of the items, at equal distances, in their order.

    Example:
        >>> spread_evenly(["a", "b", "c", "d", "e"], 2)
        ['a', 'c']
    """
    count = min(len(items), count)
    return [items[number * len(items) // count] for number in range(count)]
