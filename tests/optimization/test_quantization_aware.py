"""Quantization-aware training: what products see, what is left of it, and how far it is from int8 afterwards."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS
from tests.training.fit.test_fit import Stop, assert_same_weights, fit, weights_of
from tfchain import Distill, FitOptions, NeuralSearchChain, Quantize, QuantizeAware
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.quantization_aware import FakeQuantizedProduct, FakeQuantizedTable
from tfchain.optimization.tfmot import load_tfmot

TEXTS = [text for row in ROWS for text in row]
PAIRS = [row[:2] for row in ROWS]


def make_product(kernel: Any, **values: Any) -> FakeQuantizedProduct:
    layer = keras.layers.Dense(np.shape(kernel)[1], activation="relu")
    layer.build((None, len(kernel)))
    layer.kernel.assign(kernel)
    return FakeQuantizedProduct(layer, QuantizeAware(**values))


def test_weights_are_rounded_to_symmetric_steps_of_each_output() -> None:
    kernel = np.array([[0.3, 10.0], [-0.7, 4.0], [0.1, -21.0]], "float32")
    # Three bits: -3 to 3; the steps are 0.7 / 3 and 7.
    expected = [[0.7 / 3, 7], [-0.7, 7], [0, -21]]
    np.testing.assert_allclose(make_product(kernel, weight_bits=3).round_kernel(kernel), expected, atol=1e-6)


def test_weights_are_rounded_as_tfmot_rounds_those_it_has_just_seen() -> None:
    kernel = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    low, high = tf.Variable(tf.zeros(8)), tf.Variable(tf.zeros(8))
    quantize = load_tfmot("quantization.keras.quant_ops").LastValueQuantize
    expected = quantize(tf.constant(kernel), low, high, per_channel=True, symmetric=True, narrow_range=True)
    np.testing.assert_array_equal(make_product(kernel).round_kernel(kernel), expected)


def test_inputs_are_rounded_between_moving_averages_as_tfmot_moves_them() -> None:
    batches = np.random.default_rng(1).normal(size=(4, 32, 16)).astype("float32")
    product = make_product(np.ones((16, 2)), ema_decay=0.25)  # the running mean's 0, 1/2, 2/3 stay below it once
    low, high = tf.Variable(float(batches[0].min())), tf.Variable(float(batches[0].max()))
    quantize = load_tfmot("quantization.keras.quant_ops").MovingAvgQuantize
    for batch in batches:
        mine = product.round_inputs(tf.constant(batch), training=True)
        np.testing.assert_allclose(mine, quantize(tf.constant(batch), low, high, ema_decay=0.25), atol=1e-6)
    assert len(np.unique(np.array(mine))) <= 256
    kept = [float(np.array(one)) for one in (product.low, product.high)]
    asked = product.round_inputs(tf.constant(100 * batches[0]), training=False)  # clipped, and the ends stay
    assert [float(np.array(one)) for one in (product.low, product.high)] == kept == [float(low), float(high)]
    assert np.max(asked) == pytest.approx(kept[1], rel=1e-2)


def test_the_averages_begin_as_a_mean() -> None:
    product = make_product(np.ones((1, 1)))
    for highest in (1.0, 3.0, 5.0):
        product.round_inputs(tf.constant([[-1.0], [highest]]), training=True)
    assert float(np.array(product.high)) == pytest.approx(3.0)
    assert float(np.array(product.low)) == pytest.approx(-1.0)


def test_gradients_pass_as_if_nothing_had_been_rounded() -> None:
    product = make_product([[0.3], [-0.7]], weight_bits=3)
    product.round_inputs(tf.constant([[-4.0, 4.0]]), training=True)
    inputs = tf.constant([[1.0, -2.0]])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = product.call(inputs)
    rounded = tf.round(inputs / (8 / 255)) * (8 / 255)  # zero is a step
    gradient = tape.gradient(outputs, [inputs, product.layer.kernel.value])
    np.testing.assert_allclose(gradient[0], [[0.7 / 3, -0.7]], atol=1e-6)
    np.testing.assert_allclose(gradient[1], np.transpose(rounded), atol=1e-5)


@pytest.fixture
def text_encoder(thin_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")


def test_a_training_sees_the_rounding_and_leaves_a_plain_encoder(text_encoder: TextEncoder) -> None:
    before, seen = weights_of(text_encoder), []

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.model.encoder.set_weights(before)
            seen.append(np.array(self.model.encoder(INPUTS)))

    plain = np.array(text_encoder.encoder(INPUTS))
    hook = QuantizeAware(weight_bits=2).make_hook()
    fit(text_encoder, hooks=[hook], callbacks=[Look()])
    assert np.abs(seen[0] - plain).max() > 0.05  # weights of -s, 0 and s
    np.testing.assert_allclose(text_encoder.encoder(INPUTS), plain, atol=1e-6)
    assert all(float(np.array(product.count)) == 2 for product in hook._products)  # two steps of one rectangle


INPUTS = {"token_ids": np.array([[2, 5, 7, 3]]), "padding_mask": np.ones((1, 4), "int32")}


@pytest.mark.parametrize(
    "values", [{"mini_batch_size": 2}, {"remat": True}, {"lora_rank": 2}, {"dtype_policy": "mixed_bfloat16"}]
)
def test_it_goes_with_gradient_caching_remat_lora_and_mixed_precision(
    values: dict, text_encoder: TextEncoder, request: pytest.FixtureRequest
) -> None:
    if not values.keys() & {"mini_batch_size", "remat"}:  # which have a graph of another shape
        request.getfixturevalue("eager")
    before = weights_of(text_encoder)
    history = fit(text_encoder, hooks=[QuantizeAware().make_hook()], **values)
    assert np.isfinite(history.history["loss"]).all()
    assert any(np.abs(one - other).max() > 0 for one, other in zip(before, weights_of(text_encoder), strict=True))
    assert "call" not in vars(text_encoder.encoder.get_layer("layer_0").intermediate)


@pytest.mark.usefixtures("eager")
def test_a_stopped_training_goes_on_with_the_same_averages(thin_model_path: Path, tmp_path: Path) -> None:
    made = [TextEncoder.from_pretrained(thin_model_path, engine="tensorflow") for _ in range(3)]
    fit(made[0], epochs=3, hooks=[QuantizeAware().make_hook()])
    options = {"epochs": 3, "checkpoint": tmp_path / "run", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(made[1], hooks=[QuantizeAware().make_hook()], callbacks=[Stop(4)], **options)
    fit(made[2], hooks=[QuantizeAware().make_hook()], **options)
    assert_same_weights(made[0], made[2])


def test_the_grid_is_that_of_int8_afterwards(wide_model_path: Path, empty_cache: Path) -> None:
    encoder = TextEncoder.from_pretrained(wide_model_path, engine="auto").with_precision("int8")
    kernel = np.array(encoder.encoder.get_layer("layer_0").intermediate.kernel)  # (64, 128)
    interpreter = tf.lite.Interpreter(model_content=encoder.runner.make_flatbuffer())
    (found,) = [
        one for one in interpreter.get_tensor_details()
        if one["dtype"] == np.int8 and tuple(one["shape"]) == (128, 64) and "layer_0" in one["name"]
    ]  # fmt: skip
    scales = found["quantization_parameters"]["scales"]
    stored = (interpreter.tensor(found["index"])() * scales[:, None]).T
    np.testing.assert_allclose(make_product(kernel).round_kernel(kernel), stored, atol=1e-6)

    table = encoder.encoder.get_layer("embeddings").token
    (found,) = [
        one for one in interpreter.get_tensor_details()
        if one["dtype"] == np.int8 and tuple(one["shape"]) == tuple(table.embeddings.shape)
    ]  # fmt: skip
    (scale,) = found["quantization_parameters"]["scales"]
    rows = np.arange(table.input_dim)
    rounded = FakeQuantizedTable(table, 8).call(tf.constant(rows))
    np.testing.assert_allclose(rounded, interpreter.tensor(found["index"])() * scale, atol=1e-6)


def test_a_tables_rows_are_rounded_to_symmetric_steps_of_the_whole_table() -> None:
    layer = keras.layers.Embedding(3, 2)
    layer.build((None,))
    layer.embeddings.assign([[0.3, -0.1], [9.0, 2.0], [4.6, -8.0]])
    table = FakeQuantizedTable(layer, 3)
    with tf.GradientTape() as tape:  # three bits: -3 to 3, the step is 3
        rows = table.call(tf.constant([[0, 2, 2]]))
    np.testing.assert_allclose(rows, [[[0, 0], [6, -9], [6, -9]]], atol=1e-6)
    gradient = tf.convert_to_tensor(tape.gradient(rows, layer.embeddings.value))
    np.testing.assert_allclose(gradient, [[1, 1], [0, 0], [2, 2]], atol=1e-6)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("bits", "rounded"), [(2, ["token"]), (None, [])])
def test_a_training_sees_the_rounding_of_large_tables(
    bits: int | None, rounded: list[str], text_encoder: TextEncoder
) -> None:
    seen: dict[str, int] = {}

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            embeddings = self.model.encoder.get_layer("embeddings")
            for name in ("token", "position", "token_type"):  # 174 times 16, 24 times 16 and 2 times 16 values
                layer = getattr(embeddings, name)
                seen[name] = len(np.unique(layer(np.arange(layer.input_dim))))

    fit(text_encoder, hooks=[QuantizeAware(embedding_bits=bits).make_hook()], callbacks=[Look()])
    assert [name for name, values in seen.items() if values <= 3] == rounded
    embeddings = text_encoder.encoder.get_layer("embeddings")
    assert "call" not in vars(embeddings.token)
    assert len(np.unique(embeddings.token.embeddings)) > 1000


def name_ops(text_encoder: TextEncoder) -> list[str]:
    """The ops of the flatbuffer."""
    interpreter = tf.lite.Interpreter(model_content=text_encoder.runner.make_flatbuffer())
    return [one["op_name"] for one in interpreter._get_ops_details()]


@pytest.mark.usefixtures("eager")
def test_a_trained_model_is_quantized_saved_exported_and_trained_again(
    wide_thin_model_path: Path, tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(wide_thin_model_path).add(TEXTS[:8])
    report = chain.compress([QuantizeAware(), Distill(batch_size=8), Quantize("int8")], texts=TEXTS, progress=False)
    assert report.kept == "qat(w8a8) + distill + int8"
    plain = TextEncoder.from_pretrained(wide_thin_model_path)
    plain.encoder.set_weights([one + 0.01 for one in plain.encoder.get_weights()])  # new biases of 0 would be left out
    plain.refresh()
    assert name_ops(chain.text_encoder) == name_ops(plain.with_precision("int8"))
    again = NeuralSearchChain.load(chain.save(tmp_path / "saved"))
    assert again.export(tmp_path / "versions", top_k=3).is_dir()
    options = FitOptions(strategy="one", length_groups=1)
    history = again.fit(PAIRS, batch_size=4, recipes=[QuantizeAware()], options=options)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("recipe", [QuantizeAware(layers="norm"), QuantizeAware(layers="token", embedding_bits=None)])
def test_layers_that_are_not_rounded_are_refused(recipe: QuantizeAware, text_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="`layers` of QuantizeAware must match layers. Received: '(norm|token)'"):
        fit(text_encoder, hooks=[recipe.make_hook()])
