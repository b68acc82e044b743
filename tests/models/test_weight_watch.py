"""Weights that are looked at before every query."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.weight_watch import WeightWatch


def make_model() -> keras.Model:
    layers = [keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")]
    return keras.Sequential([keras.Input((50,)), *layers], name="model")


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_step_of_training_is_noticed_until_reset(is_mirrored: bool) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"]) if is_mirrored else tf.distribute.get_strategy()
    with strategy.scope():
        model = make_model()
        model.compile("adam", "mse")
    watch = WeightWatch(model)
    assert (watch._operands is None) is is_mirrored
    assert not watch.has_changed
    model.fit(np.ones((4, 50)), np.ones((4, 4)), verbose=0)
    assert watch.has_changed
    assert watch.has_changed
    watch.reset()
    assert not watch.has_changed


def test_a_change_of_large_weights_alone_is_not_seen_as_is_told() -> None:
    model = make_model()
    watch = WeightWatch(model)
    model.layers[0].kernel.assign(np.ones((50, 4)))
    assert not watch.has_changed
    for layer in model.layers:  # the lower layers alone, or the upper ones
        layer.bias.assign(layer.bias + 1)
        assert watch.has_changed
        watch.reset()


def test_of_one_smallest_weight_the_last_of_the_next_size_is_watched_too() -> None:
    model = keras.Sequential([keras.Input((9,)), *(keras.layers.Dense(width) for width in (5, 5, 2))])
    watch = WeightWatch(model)
    for number, is_seen in ((0, False), (1, True), (2, True)):  # biases of 5, 5 and 2 numbers
        bias = model.layers[number].bias
        bias.assign(bias + 1)
        assert watch.has_changed is is_seen
        watch.reset()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_sixteen_bits_are_watched(dtype: str) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=dtype)])
    watch = WeightWatch(model)
    model.layers[0].bias.assign([1, 2])
    assert watch.has_changed


def test_a_model_that_does_not_train_never_changes() -> None:
    model = make_model()
    model.trainable = False
    watch = WeightWatch(model)
    model.layers[0].bias.assign(np.ones(4))
    assert not watch.has_changed
