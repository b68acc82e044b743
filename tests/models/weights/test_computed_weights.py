"""Weights that are computed when they are read."""

import numpy as np
import pytest

from tfchain.models.weights.computed_weights import ComputedWeights


def test_a_weight_is_computed_when_it_is_read_and_not_before() -> None:
    asked = []

    def compute(path: str) -> np.ndarray:
        asked.append(path)
        return np.full(2, len(path))

    weights = ComputedWeights(["a", "bb"], compute)
    assert list(weights) == ["a", "bb"]
    assert (len(weights), "bb" in weights, asked) == (2, True, [])
    assert weights["bb"].tolist() == [2, 2]
    with pytest.raises(KeyError, match="c"):
        weights["c"]
