"""The layers' contract: build, config round trip, mask, dtype, save and load, one training step."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.config import EncoderConfig, PoolingConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.encoders.pooling import Normalize, Pooling
from tfchain.models.encoders.relative_positions import make_buckets
from tfchain.models.encoders.transformer import (
    AttentionMask,
    LayerNorm,
    RelativePositionBias,
    SelfAttention,
    TransformerEmbeddings,
    TransformerLayer,
    exact_gelu,
)

IDS = np.array([[2, 5, 7, 3], [2, 9, 3, 0]], dtype="int32")
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype="int32")
HIDDEN = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
BIAS = np.where(MASK, 0, -1e9).astype("float32")[:, None, None]
LAYERS = {
    "embeddings": (
        TransformerEmbeddings(
            vocabulary_size=20, hidden_dim=8, max_positions=16, token_embedding_dim=4, num_token_types=2
        ),
        (IDS,),
    ),
    "mask": (AttentionMask(), (MASK,)),
    "relative": (RelativePositionBias(8, 2), (IDS,)),
    "attention": (SelfAttention(num_heads=2, head_dim=3), (HIDDEN, BIAS)),
    "layer": (TransformerLayer(num_heads=2, head_dim=4, intermediate_dim=12), (HIDDEN, BIAS)),
    "pooling": (Pooling(["mean", "max"]), (HIDDEN, MASK)),
    "normalize": (Normalize(), (HIDDEN[:, 0],)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_survives_its_config_and_gives_the_same(name: str) -> None:
    layer, inputs = LAYERS[name]
    expected = np.asarray(layer(*inputs))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    again(*inputs)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(again(*inputs)), expected)
    shapes = [np.shape(value) for value in inputs]
    assert tuple(layer.compute_output_shape(*shapes)) == expected.shape


@pytest.mark.parametrize("name", ["embeddings", "attention", "layer"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_a_layer_computes_in_its_policys_type(name: str, policy: str) -> None:
    layer, inputs = LAYERS[name]
    mixed = type(layer).from_config({**layer.get_config(), "dtype": policy})
    type_name = policy.removeprefix("mixed_")
    inputs = tuple(value if value.dtype == np.int32 else keras.ops.cast(value, type_name) for value in inputs)
    assert keras.backend.standardize_dtype(mixed(*inputs).dtype) == type_name
    assert {weight.dtype for weight in mixed.weights} == {"float32" if policy.startswith("mixed") else type_name}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16", "mixed_float16", "float64"])
def test_normalisation_gives_keras_values_and_gradients(policy: str) -> None:
    mine, keras_own = (kind(epsilon=1e-5, dtype=policy) for kind in (LayerNorm, keras.layers.LayerNormalization))
    values = tf.cast(5 + 3 * HIDDEN, mine.compute_dtype)
    results = []
    for layer in (mine, keras_own):
        layer.build(values.shape)
        for weight, low in zip(layer.weights, (0.5, -1.0), strict=True):
            weight.assign(np.linspace(low, 2, 8))
        with tf.GradientTape() as tape:
            tape.watch(values)
            found = layer(values)
            loss = tf.reduce_sum(tf.square(tf.cast(found, "float64")) * np.arange(8))
        results.append([found, *tape.gradient(loss, [values, *(weight.value for weight in layer.weights)])])
    bound = {"float32": 2e-5, "float64": 1e-12}.get(policy, 2e-2)
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        one, other = (np.asarray(tf.cast(value, "float64")) for value in (one, other))
        np.testing.assert_allclose(one, other, atol=bound * np.abs(other).max())


def test_mixed_float16_gives_nearly_the_same_vectors(small_config: EncoderConfig) -> None:
    encoder = Encoder(small_config)
    inputs = {"token_ids": IDS, "padding_mask": MASK}
    mixed = Encoder(small_config, dtype="mixed_float16")
    mixed.set_weights(encoder.get_weights())
    np.testing.assert_allclose(mixed(inputs), encoder(inputs), atol=5e-3)
    assert fingerprint_model(mixed) != fingerprint_model(encoder)


def test_the_fingerprint_of_a_users_own_model_tells_poolings_apart_and_names_not(small_config: EncoderConfig) -> None:
    def make(mode: str) -> keras.Model:
        ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
        vectors = keras.layers.Embedding(20, 4, embeddings_initializer="ones")(ids)
        return keras.Model({"token_ids": ids, "padding_mask": mask}, Pooling([mode])(vectors, mask))

    assert fingerprint_model(make("mean")) == fingerprint_model(make("mean"))  # embedding and embedding_1
    assert fingerprint_model(make("mean")) != fingerprint_model(make("max"))


def test_attention_gives_the_values_worked_out_with_numpy() -> None:
    layer = SelfAttention(num_heads=2, head_dim=3)
    layer(HIDDEN, BIAS)
    kernel, bias, out, out_bias = (np.asarray(weight) for weight in layer.weights)
    query, key, value = np.split(HIDDEN @ kernel + bias, 3, axis=-1)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = query[..., head] @ key[..., head].swapaxes(1, 2) / 3**0.5 + BIAS[:, 0]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ value[..., head])
    np.testing.assert_allclose(layer(HIDDEN, BIAS), np.concatenate(heads, -1) @ out + out_bias, atol=1e-5)


def test_gelu_is_the_exact_one() -> None:
    # x * Φ(x), with Φ(1) = 0.8413447 of the normal distribution
    np.testing.assert_allclose(exact_gelu(np.array([0.0, 1.0, -1.0])), [0, 0.8413447, -0.1586553], atol=1e-6)


def test_distance_buckets_are_those_of_t5() -> None:
    buckets = make_buckets(32)
    # 0 to 7 have one each; then 8 * 16**(i/8) begins bucket 8 + i: 8, 11.3, 16, 22.6, 32, 45.3, 64, 90.5
    begins = [8, 12, 16, 23, 32, 46, 64, 91]
    assert buckets[:8].tolist() == list(range(8))
    assert [int(np.flatnonzero(buckets == 8 + i)[0]) for i in range(8)] == begins
    assert buckets[128] == 15


def test_padding_changes_nothing(small_config: EncoderConfig) -> None:
    encoder = Encoder(small_config)
    alone = encoder({"token_ids": IDS[1:, :3], "padding_mask": MASK[1:, :3]})
    padded = encoder({"token_ids": IDS, "padding_mask": MASK})[1:]
    np.testing.assert_allclose(alone, padded, atol=1e-6)


@pytest.mark.parametrize("shape", ["plain", "shrunk"])
def test_an_encoder_saves_loads_and_trains(small_config: EncoderConfig, shape: str, tmp_path: Path) -> None:
    if shape == "shrunk":
        small_config = dataclasses.replace(
            small_config,
            transformer=dataclasses.replace(
                small_config.transformer,
                num_heads=(2, 1),
                head_dim=3,
                intermediate_dim=(12, 4),
                token_embedding_dim=5,
                relative_attention_buckets=0,
            ),
            pooling=PoolingConfig(modes=("mean", "max")),
            dense=(DenseConfig(in_dim=16, out_dim=3),),
        )
    encoder = Encoder(small_config)
    inputs = {"token_ids": IDS, "padding_mask": MASK}
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras", safe_mode=True)
    assert again.config == small_config
    np.testing.assert_array_equal(encoder(inputs), again(inputs))

    before = [np.array(weight) for weight in encoder.trainable_weights]
    encoder.compile(keras.optimizers.SGD(1e4), "mse")  # so that the smallest gradient still moves a gamma of 1
    encoder.fit(inputs, np.ones((2, small_config.embedding_dim), dtype="float32"), verbose=0)
    moved = [np.abs(old - new).max() > 0 for old, new in zip(before, encoder.get_weights(), strict=True)]
    assert all(moved)


def test_every_product_can_be_found_by_its_path(small_config: EncoderConfig) -> None:
    encoder = Encoder(small_config)
    dense = {layer.path for layer in encoder._flatten_layers() if isinstance(layer, keras.layers.Dense)}
    assert {path for path in dense if path.startswith("layer_0/")} == {
        "layer_0/attention/query_key_value",
        "layer_0/attention/output",
        "layer_0/intermediate",
        "layer_0/output",
    }


def test_lora_can_be_enabled_on_a_product(small_config: EncoderConfig) -> None:
    encoder = Encoder(small_config)
    inputs = {"token_ids": IDS, "padding_mask": MASK}
    expected = np.asarray(encoder(inputs))
    encoder.get_layer("layer_0").attention.query_key_value.enable_lora(2)
    np.testing.assert_allclose(encoder(inputs), expected, atol=1e-6)  # LoRA begins at zero


@pytest.mark.parametrize("shape", [(3, 2), (2, 4), (1, 6)])
def test_a_mask_of_another_shape_is_an_error(small_config: EncoderConfig, shape: tuple[int, int]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        Encoder(small_config)({"token_ids": IDS[:, :3], "padding_mask": np.ones(shape, "int32")})


def test_a_layer_is_told_its_shape_or_reads_it() -> None:
    layer, inputs = LAYERS["layer"]
    np.testing.assert_array_equal(layer(*inputs, IDS), layer(*inputs))
    same_bias = np.zeros((1, 1, 1, 1), "float32")
    np.testing.assert_array_equal(layer(HIDDEN, same_bias, IDS), layer(HIDDEN, same_bias))
