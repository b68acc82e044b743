"""Which requests run together."""

import doctest
from typing import Any

import pytest

from tfchain.deployment.server.batching import packing
from tfchain.deployment.server.batching.packing import Size, pack


@pytest.mark.parametrize(
    ("sizes", "max_tokens", "chosen"),
    [
        ([(1, 10)], 2048, [0]),
        ([(1, 10)] * 4, 2048, [0, 1, 2, 3]),
        ([(1, 10)] * 4, 30, [0, 1, 2]),  # three rows of ten tokens; of those alike, the earlier
        ([(1, 10)] * 4, 5, [0]),  # the first always runs
        ([(1, 10), (1, 300), (1, 11)], 2048, [0, 2]),  # a long text would pad two short ones
        ([(1, 300), (1, 10), (1, 290)], 2048, [0, 2]),
        ([(1, 20), (1, 60)], 2048, [0, 1]),  # 40 tokens of padding cost as much as a run
        ([(1, 20), (1, 61)], 2048, [0]),
        ([(4, 20), (1, 40)], 2048, [0]),  # four rows would be padded by 20 tokens each
        ([(4, 40), (1, 20)], 2048, [0, 1]),  # one row
        ([(1, 10), (1, 12), (1, 40), (1, 42), (1, 44)], 2048, [0, 1]),  # 22 + 126 and two runs; 220 and one otherwise
        ([(1, 40), (1, 12), (1, 10), (1, 42), (1, 44)], 2048, [0, 3, 4]),
        ([(1, 16), (1, 20), (1, 10), (1, 16)], 48, [0, 2, 3]),
        ([(8, 512), (1, 4)], 2048, [0]),  # larger than a batch by itself
    ],
)
def test_texts_of_similar_length_share_a_batch(sizes: Any, max_tokens: int, chosen: list[int]) -> None:
    assert pack([Size(*size) for size in sizes], max_tokens) == chosen


def test_the_oldest_of_very_many_are_packed() -> None:
    assert pack([Size(1, 1)] * 1000, 10_000) == list(range(32))


def test_every_request_is_chosen_once_it_is_the_first() -> None:
    left = [Size(1, 7 * number % 500 + 1) for number in range(200)]
    while left:
        chosen = pack(left, 512)
        rows = [left[position] for position in chosen]
        assert chosen[0] == 0
        assert len(rows) == 1 or len(rows) * max(size.num_tokens for size in rows) <= 512
        left = [size for position, size in enumerate(left) if position not in chosen]


def test_the_example() -> None:
    assert doctest.testmod(packing).failed == 0
