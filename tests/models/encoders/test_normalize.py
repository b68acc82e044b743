"""Layer normalisation: its values beside Keras' own, its gradient beside the one that TensorFlow derives."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.normalize import normalize_for_training, normalize_last
from tfchain.models.encoders.transformer import LayerNorm

RANDOM = np.random.default_rng(0)
VALUES = tf.constant(RANDOM.normal(2, 3, (2, 3, 5)), tf.float64)
GAMMA, BETA = (tf.constant(RANDOM.normal(1, 1, 5), tf.float64) for _ in range(2))
UPSTREAM = tf.constant(RANDOM.normal(0, 1, (2, 3, 5)), tf.float64)


def find_gradients(normalize: Callable[..., tf.Tensor], inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        made = normalize(*inputs, *[None] * (3 - len(inputs)), 1e-3)
    return [made, *tape.gradient(made, inputs, output_gradients=UPSTREAM)]


@pytest.mark.parametrize("inputs", [[VALUES, GAMMA, BETA], [VALUES, GAMMA]], ids=["whole", "without beta"])
def test_the_closed_gradient_is_the_derived_one(inputs: list[tf.Tensor]) -> None:
    expected, eager = (find_gradients(function, inputs) for function in (normalize_last, normalize_for_training))
    graph = tf.function(lambda: find_gradients(normalize_for_training, inputs), autograph=False)()
    for derived, *closed in zip(expected, eager, graph, strict=True):
        for one in closed:
            np.testing.assert_allclose(one, derived, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_the_layer_normalizes_as_keras_does_in_training_and_after(center: bool, dtype: str) -> None:
    layer, keras_layer = (
        kind(epsilon=1e-3, center=center, dtype=dtype) for kind in (LayerNorm, keras.layers.LayerNormalization)
    )
    for made in (layer, keras_layer):
        made.build((None, 5))
        made.set_weights([GAMMA, BETA][: len(made.weights)])
    values = tf.cast(VALUES, tf.float16 if dtype == "mixed_float16" else tf.float32)
    for training in (True, False):
        result = layer(values, training=training)
        assert result.dtype == values.dtype
        np.testing.assert_allclose(result, keras_layer(values), rtol=2e-3 if dtype == "mixed_float16" else 1e-5)


def test_only_a_training_has_a_gradient_of_its_own() -> None:
    """In a version it would be an op more, which LiteRT and a server would have to know."""
    layer = LayerNorm()
    layer.build((None, 5))
    values = tf.TensorSpec((None, 5))
    for training in (True, False):
        function = tf.function(lambda values, training=training: layer(values, training=training), autograph=False)
        kinds = {node.type for node in function.get_concrete_function(values).graph.get_operations()}
        assert ("IdentityN" in kinds) == training


def test_a_training_takes_few_ops() -> None:
    def count(normalize: Callable[..., tf.Tensor]) -> int:
        function = tf.function(
            lambda values, gamma, beta: find_gradients_of(normalize, [values, gamma, beta]), autograph=False
        )
        specs = [tf.TensorSpec((None, 5)), tf.TensorSpec((5,)), tf.TensorSpec((5,))]
        return len(function.get_concrete_function(*specs).graph.get_operations())

    def find_gradients_of(normalize: Callable[..., tf.Tensor], inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            made = normalize(*inputs, 1e-3)
        return list(tape.gradient(made, inputs))

    assert count(normalize_for_training) < 0.6 * count(normalize_last)
