"""The towers: a position sees nothing after it, and a vector is the sum that it should be."""

import numpy as np
import pytest

from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.features import Feature
from tfchain.models.recommendation.towers import TowerShape, make_towers, take_last


@pytest.mark.parametrize("history", ["mean", "transformer"])
def test_a_history_encoder_is_causal(history: str) -> None:
    config = RecommendationConfig(dim=4, history=history, max_history=5, num_layers=2)  # type: ignore[arg-type]
    encoder = make_towers(config, TowerShape(3, 2)).history_encoder
    assert encoder is not None
    for weight in encoder.weights:  # gates are closed at first
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    vectors = np.random.default_rng(1).normal(size=(1, 4, 4)).astype("float32")
    changed = vectors.copy()
    changed[0, 2:] += 1
    before, after = (np.asarray(encoder(value, training=False)) for value in (vectors, changed))
    assert before.shape == (1, 5, 4)
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert np.abs(before[:, 3] - after[:, 3]).max() > 1e-3
    short = np.asarray(encoder(vectors[:, :2], training=False))
    np.testing.assert_allclose(np.asarray(take_last(before, np.array([2]))), short[:, 2], atol=1e-6)


def test_an_item_is_its_own_vector_and_that_of_its_features() -> None:
    config = RecommendationConfig(dim=2, num_heads=1)
    shape = TowerShape(2, 1, (Feature("color", "category", ("red",)), Feature("year", "number")))
    items = make_towers(config, shape).items
    values = {
        "ids": [[0, 0], [1, 1], [2, 2]],
        "of_feature_0": [[0, 0], [10, 20]],
        "bias": [[0.5], [1.5], [2.5]],
    }
    for name, value in values.items():
        items.get_layer(name).set_weights([np.array(value, "float32")])
    items.get_layer("of_feature_1").set_weights([np.array([[100, 0], [0, 1000]], "float32"), np.zeros(2, "float32")])
    inputs = {
        "id": np.array([2, 0], "int32"),
        "feature_0": np.array([1, 0], "int32"),
        "feature_1": np.array([[3, 1], [0, 0]], "float32"),
    }
    np.testing.assert_allclose(items(inputs, training=False), [[312, 1022, 2.5], [0, 0, 0.5]])


def test_users_have_a_tower_only_if_something_is_known_of_them() -> None:
    assert make_towers(RecommendationConfig(dim=4), TowerShape(2, 2)).users is None
    towers = make_towers(RecommendationConfig(dim=4, history="none", user_ids=True), TowerShape(2, 2))
    assert towers.history_encoder is None
    assert towers.users is not None
