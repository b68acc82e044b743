"""Rematerialisation: the same gradients, with the layers run once more."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import MakeEncoder
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.training.fit.gradients import find_seed_generators
from tfchain.training.fit.remat import add_remat
from tfchain.training.fit.training_copy import make_training_copy

INPUTS = {
    "token_ids": tf.constant([[2, 9, 8, 3], [2, 7, 3, 0]]),
    "padding_mask": tf.constant([[1, 1, 1, 1], [1, 1, 1, 0]]),
}


def gradients_of(encoder: Any, *, run: Any = lambda function: function) -> list[np.ndarray]:
    """Of a function of the vectors, and behind them dropout's generators as they are left."""
    weights = [weight.value for weight in encoder.trainable_weights]

    def compute() -> Any:
        with tf.GradientTape() as tape:
            out = encoder(INPUTS, training=True)
            value = tf.reduce_sum(out * tf.reshape(tf.range(16.0), (2, 8)))
        return [tf.convert_to_tensor(one) for one in tape.gradient(value, weights)]

    found = [one.numpy() for one in run(compute)()]
    return [*found, *(np.array(generator.state) for generator in find_seed_generators(encoder))]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("run", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_the_gradients_are_those_without(make_encoder: MakeEncoder, dropout: float, run: Any) -> None:
    encoder = make_encoder(num_layers=2, dropout=dropout)
    plain = gradients_of(make_training_copy(encoder, Hyperparameters()))
    found = gradients_of(make_training_copy(encoder, Hyperparameters(remat=True)), run=run)
    assert max(np.abs(one).max() for one in plain[: len(encoder.weights)]) > 0.1
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-5)


def test_a_bias_that_all_layers_share_gets_its_gradient(make_encoder: MakeEncoder) -> None:
    shape = {"architecture": "mpnet", "relative_attention_buckets": 8, "num_token_types": 0, "position_offset": 2}
    encoder = make_encoder(num_layers=2, **shape)
    plain = gradients_of(make_training_copy(encoder, Hyperparameters()))
    found = gradients_of(make_training_copy(encoder, Hyperparameters(remat=True)))
    (place,) = (n for n, weight in enumerate(encoder.trainable_weights) if "relative_position_bias" in weight.path)
    assert np.abs(plain[place]).max() > 1e-3
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_low_rank_additions_get_their_gradients_too(make_encoder: MakeEncoder) -> None:
    copies = [make_training_copy(make_encoder(), Hyperparameters(lora_rank=2, remat=remat)) for remat in (False, True)]
    for one, other in zip(*map(gradients_of, copies), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_layer_is_run_again_for_its_gradients_and_only_while_training(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder()
    layer = encoder.get_layer("layer_0")
    inner, runs = layer.call, []
    layer.call = lambda *args, **kwargs: runs.append(kwargs["training"]) or inner(*args, **kwargs)
    add_remat(encoder)
    gradients_of(encoder)
    assert runs == [True, True]
    encoder(INPUTS)
    assert runs == [True, True, False]


def test_a_model_without_transformer_layers_is_an_error() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(InputError, match=r"`remat` needs a model with transformer layers of tfchain\. Received: none"):
        add_remat(keras.Model(inputs, keras.layers.Dense(4)(inputs)))
