"""An evenly spaced sample of many items, the same each time."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Returns at most `count` of the items, evenly spaced, in their order.

    Example:
        >>> spread_evenly(["a", "b", "c", "d", "e"], 2)
        ['a', 'c']
    """
    count = min(len(items), count)
    return [items[number * len(items) // count] for number in range(count)]
