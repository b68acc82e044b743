"""A window holds the latest items, in order."""

import numpy as np

from tfchain.monitoring.drift.window import LONGEST_TEXT, Window


def test_the_oldest_item_leaves_first() -> None:
    window = Window(3, 1, ("length",))

    for number in range(5):
        window.add(np.array([number]), {"length": number if number != 3 else None}, str(number) * 1000)

    assert window.is_full
    assert window.vectors.ravel().tolist() == [2, 3, 4]
    assert window.scalar("length").tolist() == [2, 4]  # one item has none
    assert [text[0] for text in window.texts] == ["2", "3", "4"]
    assert len(window.texts[0]) == LONGEST_TEXT


def test_a_window_that_is_not_full_has_what_came() -> None:
    window = Window(3, 0, ("length",))
    window.add(None, {"length": 7.0}, "a")

    assert (len(window), window.is_full) == (1, False)
    assert window.scalar("length").tolist() == [7]
    window.clear()
    assert (len(window), window.texts, window.scalar("length").tolist()) == (0, [], [])
