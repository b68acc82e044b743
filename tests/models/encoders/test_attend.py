"""Attention of long texts, a block of queries at a time, beside the plain computation."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders import attend as attend_module
from tfchain.models.encoders.attend import attend, attend_in_blocks
from tfchain.models.encoders.general import shared_inputs
from tfchain.models.encoders.general.attention import GroupedAttention
from tfchain.models.encoders.general.shared_inputs import PositionBias
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.encoders.position_bias import make_position_bias
from tfchain.models.encoders.rotary import make_slopes
from tfchain.models.encoders.transformer import TransformerLayer

LENGTH, BLOCK = 23, 5
PADDING = np.zeros((2, 1, 1, LENGTH), "float32")
PADDING[1, ..., 15:] = -1e9


def draw(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(sum(shape)).normal(size=shape), tf.float32)


def test_grouped_heads_are_those_of_keys_repeated() -> None:
    query, key, value = draw(2, 4, 6, 8), draw(2, 2, 6, 8), draw(2, 2, 6, 9)[..., :8]
    repeated = [np.repeat(tensor, 2, axis=1) for tensor in (key, value)]
    scores = np.exp(query.numpy() @ repeated[0].swapaxes(-1, -2))
    expected = scores / scores.sum(-1, keepdims=True) @ repeated[1]
    np.testing.assert_allclose(attend(query, key, value, 0.0), expected, atol=1e-5)


def test_position_biases_by_hand() -> None:
    places = tf.range(4)
    assert make_position_bias(places, places) is None
    causal = make_position_bias(places, places, is_causal=True, window=1)
    allowed = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    np.testing.assert_array_equal(causal[0, 0] == 0, np.array(allowed, bool))
    falling = make_position_bias(places[2:3], places, slopes=np.array([1.0, 0.5], "float32"))
    np.testing.assert_array_equal(falling[0, :, 0], [[-2, -1, 0, -1], [-1, -0.5, 0, -0.5]])


@pytest.mark.parametrize(
    "positions",
    [
        {},
        {"is_causal": True},
        {"window": 3},
        {"is_causal": True, "window": 4},
        {"window": 40},
        {"slopes": make_slopes(4)},
    ],
    ids=str,
)
def test_blocks_give_the_results_and_the_gradients_of_the_whole(positions: dict[str, Any]) -> None:
    inputs = (draw(2, 4, LENGTH, 8), draw(2, 2, LENGTH, 8), draw(2, 2, LENGTH, 8) * 2)
    places = tf.range(LENGTH)
    by_place = make_position_bias(places, places, **positions)
    bias = PADDING if by_place is None else PADDING + by_place
    is_token = (PADDING == 0).reshape(2, 1, LENGTH, 1).astype("float32")  # what padding gets is nobody's business
    weights = draw(2, 4, LENGTH, 8) * is_token
    found = []
    for compute in (
        lambda: attend(*inputs, bias),
        lambda: attend_in_blocks(*inputs, tf.constant(PADDING), positions=positions, block=BLOCK),
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            mixed = compute()
            total = tf.reduce_sum(mixed * weights)
        found.append((mixed * is_token, *tape.gradient(total, inputs)))
    for whole, in_blocks in zip(*found, strict=True):
        np.testing.assert_allclose(in_blocks, whole, atol=1e-5)


def test_dropout_in_blocks_follows_its_seed_and_keeps_the_mean() -> None:
    inputs = (draw(1, 2, 400, 4) * 0, draw(1, 2, 400, 4) * 0, tf.ones((1, 2, 400, 4)))
    options: dict[str, Any] = {"positions": {}, "dropout": 0.5, "block": 64}
    first, again, other = (
        attend_in_blocks(*inputs, tf.zeros(()), seed=tf.constant(seed), **options) for seed in ([1, 2], [1, 2], [3, 4])
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert abs(float(tf.reduce_mean(first)) - 1) < 0.01


@pytest.mark.parametrize("options", [{"window": 3, "is_causal": True, "queries_per_key": 2}, {"has_alibi": True}])
def test_a_graph_of_any_length_chooses_and_its_gradients_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    config = LayerConfig(**options, local_layers=(0,) if "window" in options else ())
    layer = GroupedAttention(
        num_heads=4, head_dim=2, hidden_dim=8, options=config, window=config.window, max_length=LENGTH
    )
    layer.build()
    bias = PositionBias(num_heads=4, layer=config, is_local="window" in options, max_length=LENGTH)

    def find_gradients(hidden: tf.Tensor) -> list[tf.Tensor]:
        padding = tf.constant(PADDING[..., :1]) * tf.zeros((1, 1, 1, tf.shape(hidden)[1]))
        own = bias(padding, hidden[..., 0])
        shared = {"padding": padding, "bias": own, "local_bias": own}
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            mixed = layer(hidden, shared)
            total = tf.reduce_sum(mixed * tf.range(8.0))
        return [mixed, tape.gradient(total, hidden)]

    expected = {length: find_gradients(draw(2, length, 8)) for length in (6, LENGTH)}
    for module in (attend_module, shared_inputs):
        monkeypatch.setattr(module, "LONG", 8)
    graph = tf.function(find_gradients, input_signature=[tf.TensorSpec((2, None, 8))])
    for length, arrays in expected.items():
        for found, whole in zip(graph(draw(2, length, 8)), arrays, strict=True):
            np.testing.assert_allclose(found, whole, atol=1e-4, err_msg=str(length))


def test_berts_own_layers_compute_long_texts_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = TransformerLayer(num_heads=2, head_dim=4, intermediate_dim=8, max_length=LENGTH)
    hidden = draw(2, LENGTH, 8)
    is_token = (PADDING == 0).reshape(2, LENGTH, 1)
    expected = layer(hidden, tf.constant(PADDING)) * is_token
    calls = []
    monkeypatch.setattr(attend_module, "LONG", 8)
    in_blocks = attend_module.attend_in_blocks
    monkeypatch.setattr(
        attend_module,
        "attend_in_blocks",
        lambda *args, **options: calls.append(1) or in_blocks(*args, **options, block=7),
    )
    np.testing.assert_allclose(layer(hidden, tf.constant(PADDING)) * is_token, expected, atol=1e-5)
    assert calls
