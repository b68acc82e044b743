"""The layers of recommendation models: values by hand, and what every layer of Keras must survive."""

from typing import Any

import keras
import numpy as np
import pytest

from tfchain.models.recommendation.layers import BeginHistory, CategoriesMean, DropIds, Gate, RecencyMean

LAYERS = [
    (DropIds(0.5, seed=1), np.array([1, 2, 3], "int32")),
    (CategoriesMean(3, 2), np.array([[1, 2], [3, 0]], "int32")),
    (BeginHistory(4), np.ones((2, 3, 2), "float32")),
    (RecencyMean(4), np.ones((2, 3, 2), "float32")),
    (Gate(), np.ones((2, 3), "float32")),
]


@pytest.mark.parametrize(("layer", "inputs"), LAYERS, ids=lambda value: type(value).__name__)
def test_a_layer_survives_its_configuration(layer: Any, inputs: np.ndarray) -> None:
    expected = layer(inputs)
    made = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    made(inputs)
    made.set_weights(layer.get_weights())
    np.testing.assert_allclose(made(inputs), expected)


def test_ids_are_dropped_only_while_training() -> None:
    ids = np.arange(1, 1001, dtype="int32")
    layer = DropIds(0.25, seed=3)
    np.testing.assert_array_equal(layer(ids, training=False), ids)
    dropped = np.asarray(layer(ids, training=True))
    assert set(dropped[dropped != ids]) == {0}
    assert 0.2 < (dropped == 0).mean() < 0.3


def test_categories_are_averaged_without_padding() -> None:
    layer = CategoriesMean(2, 2)
    layer.build((None, None))
    layer.set_weights([np.array([[9, 9], [1, 2], [3, 6]], "float32")])
    np.testing.assert_allclose(layer(np.array([[1, 2], [2, 0], [0, 0]])), [[2, 4], [3, 6], [0, 0]])


def test_a_recent_vector_weighs_more() -> None:
    layer = RecencyMean(3, decay=0.5, scale=2.0)
    found = np.asarray(layer(np.array([[[1.0], [4.0], [7.0]]], "float32")))[0, :, 0]
    # 2 * 1; 2 * (4 + 1/2) / (3/2); 2 * (7 + 4/2 + 1/4) / (7/4)
    np.testing.assert_allclose(found, [2.0, 6.0, 18.5 / 1.75], rtol=1e-6)


def test_a_history_begins_with_a_vector_of_its_own() -> None:
    layer = BeginHistory(3, positions=False)
    found = np.asarray(layer(np.array([[[5.0, 6.0]]], "float32")))
    np.testing.assert_allclose(found[0, 0], np.asarray(layer.start)[0, 0])
    np.testing.assert_allclose(found[0, 1], [5, 6])


def test_a_gate_is_closed_at_first() -> None:
    np.testing.assert_array_equal(Gate()(np.ones((1, 2), "float32")), [[0, 0]])
