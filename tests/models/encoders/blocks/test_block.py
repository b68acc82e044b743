"""Another kind of layer is one block: here a pre-norm one with a gated feed-forward network, in place of BERT's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfchain import Shrink
from tfchain.core.errors import TfchainError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.encoders.anatomy import fingerprint_weights, list_shapes
from tfchain.models.encoders.blocks import BLOCKS
from tfchain.models.encoders.blocks.block import Group
from tfchain.models.encoders.blocks.post_norm import PostNormBlock
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.encoders.rows import TextSize, as_rows
from tfchain.models.encoders.transformer import BlockLayer, LayerNorm, SelfAttention
from tfchain.models.engines.calibration import measure_input_ranges
from tfchain.models.engines.int8_encoder import make_int8_copy
from tfchain.models.engines.native_encoder import find_obstacle_of_shape
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.importance import measure_moments
from tfchain.optimization.layer_distillation import show_layers
from tfchain.optimization.shrink import shrink
from tfchain.training.fit.training_copy import make_training_copy

TEXTS = ["the cat sleeps", "a dog runs", "stocks fell on monday", "who does what", "the dog", "a cat", "what", "who"]


class GatedLayer(BlockLayer):
    def __init__(self, num_heads: int, head_dim: int, units: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention_norm = LayerNorm(epsilon=1e-6, name="attention_norm")
        self.attention = SelfAttention(num_heads=num_heads, head_dim=head_dim, name="attention")
        self.norm = LayerNorm(epsilon=1e-6, name="norm")
        self.gate_and_up = keras.layers.Dense(2 * units, name="gate_and_up")
        self.down = keras.layers.Dense(dim, name="down")
        self.units = units

    def build(self, shape: tuple[int | None, ...], *_: Any) -> None:
        for layer in (self.attention_norm, self.attention, self.norm):
            layer.build(shape)
        self.gate_and_up.build((None, shape[-1]))
        self.down.build((None, self.units))

    def compute(
        self, hidden: Any, bias: Any, token_ids: Any = None, *, training: bool = False, visit: Any = None
    ) -> Any:
        visit = visit or (lambda path, rows: None)
        size, rows = TextSize(hidden), as_rows(hidden)
        normed = self.attention_norm(rows)
        visit("attention/query_key_value", normed)
        mixed = self.attention.mix(normed, bias, size=size)
        visit("attention/output", mixed)
        rows = rows + self.attention.output_product(mixed)
        normed = self.norm(rows)
        visit("gate_and_up", normed)
        gate, up = ops.split(self.gate_and_up(normed), 2, axis=-1)
        units = ops.silu(gate) * up
        visit("down", units)
        return size.reshape(rows + self.down(units), hidden.shape[-1])


class GatedBlock(PostNormBlock):
    """With the embeddings of BERT."""

    products = ("attention/query_key_value", "attention/output", "gate_and_up", "down")
    has_kernels = False

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        dim, units = config.hidden_dim, config.layer_intermediate_dims[number]
        inside = config.layer_heads[number] * config.layer_head_dim(number)
        yield from {"attention_norm/gamma": (dim,), "attention_norm/beta": (dim,)}.items()
        product = "attention/query_key_value"
        yield from {f"{product}/kernel": (dim, 3 * inside), f"{product}/bias": (3 * inside,)}.items()
        yield from {"attention/output/kernel": (inside, dim), "attention/output/bias": (dim,)}.items()
        yield from {"norm/gamma": (dim,), "norm/beta": (dim,)}.items()
        yield from {"gate_and_up/kernel": (dim, 2 * units), "gate_and_up/bias": (2 * units,)}.items()
        yield from {"down/kernel": (units, dim), "down/bias": (dim,)}.items()

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        heads, _ = super().list_groups(config, number)
        units = config.layer_intermediate_dims[number]
        return heads, Group("intermediate_dim", reader="down", maker="gate_and_up", count=units, width=1, copies=2)

    def count_keras_layers(self, config: TransformerConfig) -> int:
        return 6 + 9 * config.num_layers + bool(config.num_token_types)

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        if not name.startswith("layer_"):
            return super().make_layer(config, name, dtype=dtype)
        number = int(name.removeprefix("layer_"))
        heads, width = config.layer_heads[number], config.layer_head_dim(number)
        return GatedLayer(heads, width, config.layer_intermediate_dims[number], config.hidden_dim, name=name)


@pytest.fixture(scope="module")
def tokenizer(tiny_model_path: Path) -> Any:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").tokenizer.source


@pytest.fixture(autouse=True)
def block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BLOCKS, "bert", GatedBlock())


@pytest.fixture
def encoder(tokenizer: Any) -> Encoder:
    shape = TransformerConfig(
        architecture="bert", vocabulary_size=len(tokenizer), hidden_dim=8, num_layers=2, num_heads=2,
        intermediate_dim=6, max_positions=24, num_token_types=2,
    )  # fmt: skip
    encoder = Encoder(EncoderConfig(transformer=shape, normalize=True))
    random = np.random.default_rng(0)
    encoder.set_weights([random.normal(size=weight.shape, scale=0.4) for weight in encoder.weights])
    return encoder


def normalize(rows: np.ndarray, weights: dict[str, np.ndarray], path: str) -> np.ndarray:
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-6) * weights[f"{path}/gamma"] + weights[f"{path}/beta"]


def compute_by_hand(encoder: Encoder, ids: list[int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The hidden states after the last layer, `(tokens, 8)`, and what goes into each product."""
    weights, inputs = dict(KerasWeights(encoder)), {}
    rows = np.asarray(encoder.get_layer("embeddings")(np.array([ids])))[0]

    def multiply(values: np.ndarray, path: str) -> np.ndarray:
        inputs[path] = values
        return values @ weights[f"{path}/kernel"] + weights[f"{path}/bias"]

    for layer in ("layer_0", "layer_1"):
        normed = normalize(rows, weights, f"{layer}/attention_norm")
        query, key, value = np.split(multiply(normed, f"{layer}/attention/query_key_value"), 3, axis=1)
        mixed = []
        for part in (slice(0, 4), slice(4, 8)):  # the heads
            scores = np.exp(query[:, part] @ key[:, part].T / 2)
            mixed.append(scores / scores.sum(1, keepdims=True) @ value[:, part])
        rows = rows + multiply(np.concatenate(mixed, axis=1), f"{layer}/attention/output")
        gate, up = np.split(multiply(normalize(rows, weights, f"{layer}/norm"), f"{layer}/gate_and_up"), 2, axis=1)
        rows = rows + multiply(gate / (1 + np.exp(-gate)) * up, f"{layer}/down")
    return rows, inputs


def test_the_encoder_computes_its_layers(encoder: Encoder) -> None:
    hidden = compute_by_hand(encoder, [2, 9, 8, 3])[0]
    mean = hidden.mean(axis=0)
    padded = {
        "token_ids": np.array([[2, 9, 8, 3], [2, 3, 0, 0]]),
        "padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }
    np.testing.assert_allclose(np.asarray(encoder(padded))[0], mean / np.linalg.norm(mean), atol=1e-5)
    other = compute_by_hand(encoder, [2, 3])[0].mean(axis=0)
    np.testing.assert_allclose(np.asarray(encoder(padded))[1], other / np.linalg.norm(other), atol=1e-5)
    shown = show_layers(encoder, [1])(padded)[1]
    np.testing.assert_allclose(np.asarray(shown)[0], hidden, atol=1e-5)


def test_its_weights_and_fingerprint_are_known_without_keras(encoder: Encoder) -> None:
    listed = list(list_shapes(encoder.config).items())
    assert listed == [(weight.path, tuple(weight.shape)) for weight in encoder.weights]
    assert fingerprint_weights(encoder.config, KerasWeights(encoder).__getitem__) == fingerprint_model(encoder)


def test_the_ranges_of_all_its_products_are_measured(encoder: Encoder, tokenizer: Any) -> None:
    text_encoder = TextEncoder(tokenizer, encoder, engine="tensorflow")
    calibration = text_encoder.calibrate(TEXTS)
    ranges = measure_input_ranges(encoder, calibration)
    seen = [compute_by_hand(encoder, list(ids))[1] for ids in calibration.token_ids]
    assert set(ranges) == set(seen[0])
    for path, found in ranges.items():
        values = np.concatenate([inputs[path] for inputs in seen])
        np.testing.assert_allclose(found.low, values.min(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.high, values.max(axis=0), atol=1e-5)


def test_shrinking_leaves_out_heads_and_units_that_do_nothing(encoder: Encoder, tokenizer: Any) -> None:
    for weight in encoder.weights:
        array = np.asarray(weight).copy()
        if weight.path.endswith("attention/output/kernel"):
            array[:4] = 0  # the first head
        if weight.path.endswith("down/kernel"):
            array[[0, 2, 5]] = 0
        weight.assign(array)
    text_encoder = TextEncoder(tokenizer, encoder, engine="tensorflow")
    moments = measure_moments(text_encoder, TEXTS)
    assert set(moments) == {f"layer_{number}/{path}" for number in range(2) for path in ("attention/output", "down")}
    small = shrink(text_encoder, Shrink(num_heads=1, intermediate_dim=3), TEXTS)
    made = {path: array.shape for path, array in KerasWeights(small.encoder).items()}
    assert made["layer_1/attention/query_key_value/kernel"] == (8, 12)
    assert made["layer_1/gate_and_up/kernel"] == (8, 6)
    np.testing.assert_allclose(small.encode(TEXTS), text_encoder.encode(TEXTS), atol=1e-5)


def test_its_layers_can_be_computed_again_for_the_gradients(encoder: Encoder) -> None:
    inputs = {"token_ids": tf.constant([[2, 9, 3]]), "padding_mask": tf.constant([[1, 1, 1]])}
    found = []
    for remat in (False, True):
        copy = make_training_copy(encoder, Hyperparameters(remat=remat))
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(copy(inputs, training=True) * tf.range(8.0))
        gradients = tape.gradient(value, [weight.value for weight in copy.trainable_weights])
        found.append([tf.convert_to_tensor(gradient).numpy() for gradient in gradients])
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(plain, again, atol=1e-5)


def test_engines_that_do_not_have_it_say_so(encoder: Encoder, tokenizer: Any) -> None:
    assert find_obstacle_of_shape(encoder.config) == "the kernels do not compute layers of the architecture 'bert'"
    calibration = TextEncoder(tokenizer, encoder, engine="tensorflow").calibrate(TEXTS)
    with pytest.raises(TfchainError, match="layers of the class GatedLayer\\. Use .* without calibration"):
        make_int8_copy(encoder, measure_input_ranges(encoder, calibration))
