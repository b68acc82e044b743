"""Blanks after the hits of a filtered search."""

import numpy as np

from tfchain.tasks.search.blanks import widen


def test_scores_end_in_minus_infinity_and_strings_are_empty() -> None:
    assert widen(np.array([[0.5]], "float32"), 3).tolist() == [[0.5, -np.inf, -np.inf]]
    assert widen(np.array([[b"a"], [b"b"]], object), 2).tolist() == [[b"a", b""], [b"b", b""]]
    table = np.zeros((2, 3), "float32")
    assert widen(table, 3) is table
    assert widen(np.zeros((1, 0), "float32"), 1).dtype == np.float32
