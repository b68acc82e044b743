"""Weights that are looked at before every query."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain import NeuralSearchChain, Quantize
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.shared_model import SharedModel, WeightWatch
from tfchain.models.text_encoder import TextEncoder


def make_model() -> keras.Model:
    layers = [keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")]
    return keras.Sequential([keras.Input((50,)), *layers], name="model")


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_step_of_training_is_noticed_until_reset(is_mirrored: bool) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"]) if is_mirrored else tf.distribute.get_strategy()
    with strategy.scope():
        model = make_model()
        model.compile("adam", "mse")
    watch = WeightWatch(SharedModel(model))
    assert (watch.shared._operands is None) is is_mirrored
    assert not watch.has_changed
    model.fit(np.ones((4, 50)), np.ones((4, 4)), verbose=0)
    assert watch.has_changed
    assert watch.has_changed
    watch.reset()
    assert not watch.has_changed


def test_a_change_of_large_weights_alone_is_not_seen_as_is_told() -> None:
    model = make_model()
    watch = WeightWatch(SharedModel(model))
    model.layers[0].kernel.assign(np.ones((50, 4)))
    assert not watch.has_changed
    for layer in model.layers:  # the lower layers alone, or the upper ones
        layer.bias.assign(layer.bias + 1)
        assert watch.has_changed
        watch.reset()


def test_of_one_smallest_weight_the_last_of_the_next_size_is_watched_too() -> None:
    model = keras.Sequential([keras.Input((9,)), *(keras.layers.Dense(width) for width in (5, 5, 2))])
    watch = WeightWatch(SharedModel(model))
    for number, is_seen in ((0, False), (1, True), (2, True)):  # biases of 5, 5 and 2 numbers
        bias = model.layers[number].bias
        bias.assign(bias + 1)
        assert watch.has_changed is is_seen
        watch.reset()


def test_of_many_smallest_weights_the_first_and_the_last_are_watched_and_those_between_are_not() -> None:
    layers = [keras.layers.Dense(4) for _ in range(4)]
    watch = WeightWatch(SharedModel(keras.Sequential([keras.Input((4,)), *layers])))
    seen = []
    for layer in layers:
        layer.bias.assign(layer.bias + 1)
        seen.append(watch.has_changed)
        watch.reset()
    assert seen == [True, False, False, True]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_sixteen_bits_are_watched(dtype: str) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=dtype)])
    watch = WeightWatch(SharedModel(model))
    model.layers[0].bias.assign([1, 2])
    assert watch.has_changed


def test_a_model_that_does_not_train_never_changes() -> None:
    model = make_model()
    model.trainable = False
    watch = WeightWatch(SharedModel(model))
    model.layers[0].bias.assign(np.ones(4))
    assert not watch.has_changed


def test_a_private_model_is_looked_at_from_the_moment_it_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedModel(make_model(), is_private=True)
    looks: list[None] = []
    look = shared._read_sample
    monkeypatch.setattr(shared, "_read_sample", lambda: (looks.append(None), look())[1])
    early, other = WeightWatch(shared), WeightWatch(shared)
    assert not early.has_changed
    assert not looks
    model = shared.hand_out()
    assert shared.hand_out() is model
    assert len(looks) == 1
    late = WeightWatch(shared)
    assert not any(watch.has_changed for watch in (early, other, late))
    model.layers[1].bias.assign(np.ones(4))
    assert all(watch.has_changed for watch in (early, other, late))
    after = WeightWatch(shared)
    early.reset()
    assert not early.has_changed
    assert not after.has_changed
    assert other.has_changed


@pytest.mark.parametrize("is_private", [False, True])
def test_what_is_told_reaches_each_watch_once(is_private: bool) -> None:
    shared = SharedModel(make_model(), is_private=is_private)
    watches = WeightWatch(shared), WeightWatch(shared)
    shared.tell_change()
    for watch in watches:
        assert watch.has_changed
        watch.reset()
    assert not any(watch.has_changed for watch in watches)


# In bfloat16 TensorFlow computes with a copy of the weights, which stays as it is until the change is noticed.


def encode_anew(encoder: TextEncoder) -> np.ndarray:
    """By a text encoder of its own, with the weights as they are."""
    made = Encoder(encoder.own_encoder.config)
    made.set_weights(encoder.own_encoder.get_weights())
    return TextEncoder(encoder.tokenizer.tokenizer, made, precision="bfloat16").encode("the cat")


def test_text_encoders_that_share_a_model_from_a_folder_follow_its_training(thin_model_path: Path) -> None:
    first = TextEncoder.from_pretrained(thin_model_path, precision="bfloat16")
    second = first.with_precision("bfloat16")
    before = [one.encode("the cat") for one in (first, second)]
    assert first._shared._at_hand_out is None
    model = second.encoder
    model.set_weights([weight * 1.5 + 0.1 * np.cos(np.arange(weight.size)).reshape(weight.shape)
                       for weight in model.get_weights()])  # fmt: skip
    expected = encode_anew(first)
    assert np.abs(expected - before[0]).max() > 1e-2
    for one in (first, second):
        np.testing.assert_allclose(one.encode("the cat"), expected, atol=1e-5)
        assert one.fingerprint == first.fingerprint


def test_a_change_that_no_watch_sees_is_told_to_all_by_refresh(thin_model_path: Path) -> None:
    first = TextEncoder.from_pretrained(thin_model_path, precision="bfloat16")
    second = first.with_precision("bfloat16")
    before = [one.encode("the cat") for one in (first, second)]
    kernel = first.own_encoder.get_layer("layer_0").intermediate.kernel
    kernel.assign(kernel + np.cos(np.arange(np.prod(kernel.shape))).reshape(kernel.shape))
    np.testing.assert_array_equal(second.encode("the cat"), before[1])
    first.refresh()
    expected = encode_anew(first)
    assert np.abs(expected - before[0]).max() > 1e-3
    for one in (first, second):
        np.testing.assert_allclose(one.encode("the cat"), expected, atol=1e-5)
    run = first.runner.running
    second.encode("the cat")  # what was told is not told back
    first.encode("the cat")
    assert first.runner.running is run is not None


def test_an_encoder_of_ones_own_is_watched_from_the_beginning(thin_model_path: Path) -> None:
    read = TextEncoder.from_pretrained(thin_model_path)
    own = TextEncoder(read.tokenizer.tokenizer, read.own_encoder, precision="bfloat16")
    before = own.encode("the cat")
    read.own_encoder.set_weights([weight * 1.5 + 0.1 for weight in read.own_encoder.get_weights()])
    assert np.abs(own.encode("the cat") - before).max() > 1e-3


def test_a_model_from_a_folder_stays_private_through_all_that_a_chain_does(
    thin_model_path: Path, tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add(["the cat sleeps", "stocks fell"])
    chain.search("the cat")
    chain.fit([("the cat", "the cat sleeps"), ("a dog", "a dog runs")] * 2, batch_size=2)
    chain.search("the cat")
    chain.compress(Quantize("bfloat16"))
    chain.save(tmp_path / "chain")
    chain.save_pretrained(tmp_path / "model")
    chain.export(tmp_path / "versions")
    shared = chain.text_encoder._shared
    assert shared._at_hand_out is None
    assert NeuralSearchChain.load(tmp_path / "chain").text_encoder._shared._at_hand_out is None
    assert chain.model is shared.model
    assert shared._at_hand_out is not None


def test_a_model_that_others_have_parts_of_is_never_private(thin_model_path: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path).own_encoder
    tokenizer = TextEncoder.from_pretrained(thin_model_path).tokenizer.tokenizer
    TextEncoder(tokenizer, keras.Model(encoder.inputs, encoder.outputs)).save(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path)._shared._at_hand_out is not None
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        mirrored = TextEncoder.from_pretrained(thin_model_path)
    assert mirrored._shared._at_hand_out is not None
