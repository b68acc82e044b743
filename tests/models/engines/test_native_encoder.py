"""The project's own int8 kernels beside the same arithmetic in NumPy, and beside the float32 encoder."""

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models import native_library as native
from tfchain.models.encoders.config import Activation, EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.engines import litert_engine, native_encoder
from tfchain.models.engines.native_encoder import NativeEncoder, find_obstacle_of
from tfchain.models.engines.padding import pad
from tfchain.models.engines.runner import EncoderRunner
from tfchain.models.engines.tensorflow_engine import TensorFlowEngine
from tfchain.models.native_weights import ACTIVATIONS as ACTIVATION_NAMES

needs_kernels = pytest.mark.skipif(native.find_obstacle() is not None, reason=str(native.find_obstacle()))

BASE: dict[str, Any] = {
    "architecture": "bert", "vocabulary_size": 60, "hidden_dim": 64, "num_layers": 2, "num_heads": 4,
    "intermediate_dim": 96, "max_positions": 80, "num_token_types": 2,
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "whole tiles": {"transformer": {"intermediate_dim": 192}},  # three, of the matrix unit
    "odd widths": {"transformer": {"hidden_dim": 44, "num_heads": 3, "head_dim": 13, "intermediate_dim": 77}},
    "narrow tokens": {"transformer": {"token_embedding_dim": 20}},
    "wide tokens": {"transformer": {"token_embedding_dim": 100, "hidden_dim": 40}},
    "large head": {"transformer": {"num_heads": 1, "head_dim": 70}},
    "unequal layers": {"transformer": {"num_heads": (4, 2), "head_dim": 16, "intermediate_dim": (96, 40)}},
    "relative": {
        "transformer": {
            "architecture": "mpnet", "num_token_types": 0, "position_offset": 2, "relative_attention_buckets": 8,
        }
    },
    "one relative head": {
        "transformer": {
            "architecture": "mpnet", "num_token_types": 0, "relative_attention_buckets": 8, "num_heads": (1, 4),
            "head_dim": 16,
        }
    },
    "large epsilon": {"transformer": {"norm_epsilon": 0.1}},
    "tanh gelu": {"transformer": {"activation": "gelu_new"}},
    "relu": {"transformer": {"activation": "relu"}},
    "silu": {"transformer": {"activation": "silu"}},
    "poolings": {"normalize": False, "modes": ("cls", "lasttoken", "weightedmean", "mean_sqrt_len_tokens", "mean")},
    "heads": {
        "dense": (
            DenseConfig(in_dim=64, out_dim=30),
            DenseConfig(in_dim=30, out_dim=20, activation="sigmoid", use_bias=False),
            DenseConfig(in_dim=20, out_dim=9, activation="relu"),
            DenseConfig(in_dim=9, out_dim=7, activation="linear"),
        )
    },
    "gelu head": {"dense": (DenseConfig(in_dim=64, out_dim=30, activation="gelu"),)},
    "task's head": {"head": DenseConfig(in_dim=64, out_dim=5, activation="linear")},
    "task's head behind heads": {
        "dense": (DenseConfig(in_dim=64, out_dim=30),),
        "head": DenseConfig(in_dim=30, out_dim=5, activation="linear"),
    },
}  # fmt: skip
LENGTHS = (5, 1, 33, 16, 17, 0, 64, 2, 14, 29, 78)


def make_encoder(name: str = "plain", *, dtype: str = "float32", **changes: Any) -> Encoder:
    """One whose weights, biases included, are none of 0 and 1."""
    keras.utils.set_random_seed(0)
    shape = {"normalize": True} | SHAPES[name] | changes
    transformer = TransformerConfig(**(BASE | shape.pop("transformer", {})))
    pooling = PoolingConfig(modes=shape.pop("modes", ("mean",)))
    encoder = Encoder(EncoderConfig(transformer=transformer, pooling=pooling, **shape), dtype=dtype)
    random = np.random.default_rng(0)
    encoder.set_weights([weight + random.normal(0, 0.1, weight.shape) for weight in encoder.get_weights()])
    return encoder


def make_texts(lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    random = np.random.default_rng(1)
    # 1 is the padding of what counts positions from 2: the kernels are not given it inside a text.
    return [random.choice([0, *range(2, 60)], length).tolist() for length in lengths]


def compute_float(encoder: Encoder, texts: list[list[int]], skipped: int = 0) -> np.ndarray:
    ids, mask = pad(texts, 0, skipped=skipped)
    return np.asarray(encoder({"token_ids": ids, "padding_mask": mask}))


# The same arithmetic in NumPy: each text for itself, 8-bit numbers as whole numbers, sums in 64 bits.


def emulate(encoder: Encoder, ids: list[int], skipped: int = 0) -> np.ndarray:
    config = encoder.config.transformer
    embeddings = encoder.get_layer("embeddings")
    table = np.asarray(embeddings.token.embeddings)
    scale = np.abs(table).max(axis=1, keepdims=True) / 127
    hidden = (np.rint(table / scale) * scale)[ids or [config.pad_token_id]]
    length = len(hidden)
    if embeddings.projection is not None:
        kernel = np.asarray(embeddings.projection.kernel)
        steps = np.abs(kernel).max(axis=0) / 127
        hidden = hidden @ (np.rint(kernel / steps) * steps) + np.asarray(embeddings.projection.bias)
    hidden = hidden + np.asarray(embeddings.position.embeddings)[config.position_offset :][:length]
    if embeddings.token_type is not None:
        hidden = hidden + np.asarray(embeddings.token_type.embeddings)[0]
    hidden = norm(hidden, embeddings.norm)
    bias = np.zeros((1, length, length))
    if config.relative_attention_buckets:
        bias = np.asarray(encoder.get_layer("relative_position_bias")(np.array([ids or [0]])))[0]
    for number in range(config.num_layers):
        layer = encoder.get_layer(f"layer_{number}")
        heads, width = layer.num_heads, layer.head_dim
        parts = product(hidden, layer.attention.query_key_value).reshape(length, 3, heads, width)
        query, key, value = parts.transpose(1, 2, 0, 3)
        scores = query @ key.swapaxes(1, 2) / math.sqrt(width) + bias
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = weights / weights.sum(axis=-1, keepdims=True) @ value
        mixed = mixed.swapaxes(0, 1).reshape(length, heads * width)
        hidden = norm(hidden + product(mixed, layer.attention.output_product), layer.attention_norm)
        wide = ACTIVATIONS[config.activation](product(hidden, layer.intermediate))
        hidden = norm(hidden + product(wide, layer.output_product), layer.output_norm)
    mask = np.zeros(length)
    mask[skipped : len(ids)] = 1
    pooled = encoder.get_layer("pooling")(hidden[None].astype("float32"), mask[None].astype("int32"))
    for number in range(len(encoder.config.dense)):
        pooled = encoder.get_layer(f"dense_{number}")(pooled)
    if encoder.config.normalize:
        pooled = encoder.get_layer("normalize")(pooled)
    return np.asarray(encoder.get_layer("head")(pooled) if encoder.config.head else pooled)[0]


def product(values: np.ndarray, dense: keras.layers.Dense) -> np.ndarray:
    low, high = np.minimum(values.min(axis=1), 0), np.maximum(values.max(axis=1), 0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    quantized = np.clip(np.rint(values / scale[:, None]) + zero[:, None], 0, 255).astype("int64")
    kernel = np.asarray(dense.kernel)
    steps = np.abs(kernel).max(axis=0) / 127
    sums = (quantized - zero[:, None].astype("int64")) @ np.rint(kernel / steps).astype("int64")
    return sums * scale[:, None] * steps + np.asarray(dense.bias)


def norm(values: np.ndarray, layer: Any) -> np.ndarray:
    scaled = (values - values.mean(axis=1, keepdims=True)) / np.sqrt(values.var(axis=1, keepdims=True) + layer.epsilon)
    return scaled * np.asarray(layer.gamma) + np.asarray(layer.beta)


ACTIVATIONS = {
    "gelu": np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    "gelu_new": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@needs_kernels
@pytest.mark.parametrize("name", SHAPES)
def test_vectors_are_those_of_the_same_arithmetic_in_numpy(name: str) -> None:
    encoder = make_encoder(name)
    texts = make_texts()
    for skipped in (0, 3):
        found = NativeEncoder(encoder, num_threads=2)(texts, skipped)
        expected = np.stack([emulate(encoder, ids, skipped) for ids in texts])
        assert found.dtype == np.float32
        # Where a value lies between two 8-bit numbers, the last bit of float32 decides; few do.
        error = np.abs(found - expected) / np.abs(expected).max()
        assert np.median(error) < 1e-6
        assert np.quantile(error, 0.8) < 1e-5
        assert error.max() < 0.02
        whole = compute_float(encoder, texts, skipped)
        error = np.abs(found - whole) / np.abs(whole).max()
        assert 1e-3 < error.max() < 0.05  # it is int8
        assert np.median(error) > 1e-5


@needs_kernels
@pytest.mark.parametrize("name", ["plain", "whole tiles", "odd widths", "relative"])
def test_a_text_has_the_same_vector_alone_and_in_any_batch_with_any_number_of_threads(name: str) -> None:
    encoder = make_encoder(name)
    texts = make_texts(tuple(range(1, 79)))
    whole = NativeEncoder(encoder)(texts)
    for num_threads in (1, 2, 5, 40):
        made = NativeEncoder(encoder, num_threads=num_threads)
        np.testing.assert_array_equal(made(texts), whole)
        np.testing.assert_array_equal(np.concatenate([made([text]) for text in texts]), whole)
        np.testing.assert_array_equal(made(texts[::-1])[::-1], whole)


@needs_kernels
def test_calls_from_many_threads_do_not_meet() -> None:
    made = NativeEncoder(make_encoder(), num_threads=3)
    others = NativeEncoder(make_encoder("odd widths"), num_threads=2)
    texts = make_texts(tuple(1 + number * 7 % 78 for number in range(300)))
    expected = [(made([text]), others([text])) for text in texts]
    with ThreadPoolExecutor(8) as executor:
        for _ in range(3):
            found = executor.map(lambda text: (made([text]), others([text])), texts)
            for pair, whole in zip(found, expected, strict=True):
                np.testing.assert_array_equal(pair[0], whole[0])
                np.testing.assert_array_equal(pair[1], whole[1])


@needs_kernels
def test_ids_may_come_as_arrays() -> None:
    made = EncoderRunner(make_encoder(), precision="int8")
    texts = np.array(make_texts((7, 7)))
    np.testing.assert_array_equal(made(texts), made(texts.tolist()))
    np.testing.assert_array_equal(made(texts[:1]), made(texts[:1].tolist()))


@needs_kernels
def test_positions_behind_written_padding_are_not_counted_by_the_kernels() -> None:
    encoder = make_encoder("relative")
    runner = EncoderRunner(encoder, precision="int8", engine="native", pad_token_id=1)
    texts = make_texts((9, 6, 12, 5))
    plain = runner(texts)
    written = [texts[0], [*texts[1][:2], 1, *texts[1][2:]], texts[2], [1]]
    done: list[int] = []
    found = runner(written, progress=done.append)
    assert sum(done) == 4
    np.testing.assert_array_equal(found[[0, 2]], plain[[0, 2]])
    for row in (1, 3):
        np.testing.assert_allclose(found[row], compute_float(encoder, [written[row]])[0], atol=1e-5)
        alone = runner([written[row]])[0]  # by TensorFlow, whose sums differ by batch
        np.testing.assert_allclose(alone, found[row], rtol=0, atol=1e-6)


@needs_kernels
@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16", "mixed_float16"])
def test_an_encoder_in_another_policy_is_computed_from_its_weights(policy: str) -> None:
    encoder = make_encoder(dtype=policy)
    found = NativeEncoder(encoder)(make_texts())
    np.testing.assert_allclose(found, np.stack([emulate(encoder, ids) for ids in make_texts()]), atol=2e-2)


@needs_kernels
def test_it_is_near_litert() -> None:
    encoder = make_encoder()
    texts = [text for text in make_texts() if text]
    found = NativeEncoder(encoder)(texts)
    litert = EncoderRunner(encoder, engine="litert", precision="int8")(texts)
    whole = compute_float(encoder, texts)
    assert np.sum(found * litert, axis=1).min() > 0.9995
    # A scale for each token's embedding, where LiteRT has one for the table: no farther from float32.
    assert np.sum(found * whole, axis=1).mean() > np.sum(litert * whole, axis=1).mean() - 1e-5


@needs_kernels
def test_no_texts_and_texts_of_nothing() -> None:
    encoder = make_encoder()
    assert EncoderRunner(encoder, precision="int8")([]).shape == (0, 64)
    for texts in ([[]], [[], []]):
        found = NativeEncoder(encoder)(texts)
        np.testing.assert_array_equal(found, compute_float(encoder, texts))


@needs_kernels
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([3] * 81, "A text must have 1 to 80 tokens. Received: 81 tokens. Truncate it."),
        ([3, 60], "Token ids must be in the vocabulary. Received: ids from 3 to 60."),
        ([-1, 5], "Received: ids from -1 to 5."),
    ],
)
def test_what_would_read_other_memory_is_refused(text: list[int], message: str) -> None:
    made = NativeEncoder(make_encoder())
    for texts in ([text], [[5], text]):
        with pytest.raises(InputError) as raised:
            made(texts)
        assert message in str(raised.value)


class OtherDense(keras.layers.Dense):
    """A layer that someone put in the place of a product."""


def change_activation(encoder: Encoder) -> Encoder:
    encoder.get_layer("layer_1").intermediate.activation = keras.activations.relu
    return encoder


def change_epsilon(encoder: Encoder) -> Encoder:
    encoder.get_layer("layer_1").output_norm.epsilon = 0.5
    return encoder


def put_other_product(encoder: Encoder) -> Encoder:
    encoder.get_layer("layer_1").intermediate.__class__ = OtherDense
    return encoder


def quantize_by_keras(encoder: Encoder) -> Encoder:
    encoder.get_layer("layer_1").output_product.quantize("int8")
    return encoder


def spoil(encoder: Encoder) -> Encoder:
    encoder.get_layer("layer_0").output_norm.beta.assign(np.full(64, np.nan))
    return encoder


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: make_encoder(modes=("mean", "max")), "the pooling 'max' is not a weighted sum"),
        (lambda: put_other_product(make_encoder()), "intermediate is of the class OtherDense"),
        (lambda: quantize_by_keras(make_encoder()), "layer_1/output has been quantized by Keras"),
        (lambda: change_activation(make_encoder()), "layer_1 does not have the configuration's activation"),
        (lambda: change_epsilon(make_encoder()), "layer_1/output_norm does not have the configuration's epsilon"),
        (lambda: spoil(make_encoder()), "not all of its weights are finite"),
        (lambda: keras.Model((x := keras.Input((None,))), x), "the model is a Functional, not one of tfchain's own"),
    ],
)
def test_what_the_kernels_do_not_have_is_named(make: Any, reason: str) -> None:
    encoder = make()
    assert reason in str(find_obstacle_of(encoder))
    with pytest.raises(InputError, match=f"'native' cannot run this encoder here: .*{reason}.*Use engine='auto'"):
        EncoderRunner(encoder, engine="native", precision="int8")


def test_litert_computes_where_the_kernels_are_not_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # one conversion for both
    monkeypatch.setattr(native_encoder, "find_obstacle", lambda: "the processor has no AVX-512 VNNI")
    encoder = make_encoder()
    texts = make_texts((5, 9))
    with caplog.at_level(logging.INFO, "tfchain"):
        found = EncoderRunner(encoder, precision="int8", cache_key=fingerprint_model(encoder))(texts)
    assert "not tfchain's own kernels: the processor has no AVX-512 VNNI." in caplog.text
    litert = EncoderRunner(encoder, engine="litert", precision="int8", cache_key=fingerprint_model(encoder))
    np.testing.assert_array_equal(found, litert(texts))
    with pytest.raises(InputError, match="here: the processor has no AVX-512 VNNI. Received: engine='native'"):
        EncoderRunner(encoder, engine="native", precision="int8")


@needs_kernels
def test_the_runner_takes_the_kernels_for_int8_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_engine, "convert_encoder", None)  # a conversion would fail
    encoder = make_encoder()
    texts = make_texts()
    expected = NativeEncoder(encoder)(texts)
    for made in (
        EncoderRunner(encoder, precision="int8"),
        EncoderRunner(encoder, precision="int8", engine="native"),
        EncoderRunner(encoder, precision="int8", cache_key=fingerprint_model(encoder)),
    ):
        done: list[int] = []
        np.testing.assert_array_equal(made(texts, batch_size=3, progress=done.append), expected)
        assert (sum(done), max(done)) == (len(texts), 3)
        done.clear()
        np.testing.assert_array_equal(made(texts[2:3], progress=done.append), expected[2:3])
        assert done == [1]
        np.testing.assert_array_equal(made(texts, skipped=2), NativeEncoder(encoder)(texts, 2))
    assert type(EncoderRunner(encoder, engine="tensorflow").start()) is TensorFlowEngine
    assert type(EncoderRunner(encoder, engine="litert", precision="int8").start()) is litert_engine.LiteRTEngine


@needs_kernels
def test_changed_weights_count_after_a_refresh() -> None:
    encoder = make_encoder()
    made = EncoderRunner(encoder, precision="int8")
    text = make_texts((12,))
    before = made(text)
    encoder.set_weights([weight * 1.5 + 0.05 for weight in encoder.get_weights()])
    np.testing.assert_array_equal(made(text), before)  # it has its own copy
    made.refresh()
    after = made(text)
    assert np.abs(after - before).max() > 0.05
    np.testing.assert_allclose(after, compute_float(encoder, text), atol=0.02)


@needs_kernels
def test_weights_that_became_nan_go_to_litert_until_they_are_finite_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_engine.LiteRTEngine, "encode", lambda *_, **__: np.full((1, 64), np.nan))
    encoder = make_encoder()
    made = EncoderRunner(encoder, precision="int8")
    text = make_texts((12,))
    before = made(text)
    beta = np.asarray(encoder.get_layer("layer_0").output_norm.beta)
    spoil(encoder)
    made.refresh()
    assert np.isnan(made(text)).all()
    encoder.get_layer("layer_0").output_norm.beta.assign(beta)
    made.refresh()
    np.testing.assert_array_equal(made(text), before)


def test_every_activation_of_a_configuration_has_a_kernel() -> None:
    assert set(ACTIVATION_NAMES) == set(get_args(Activation))


@needs_kernels
def test_what_lora_adds_to_a_product_is_there() -> None:
    encoder = make_encoder()
    before = NativeEncoder(encoder)(make_texts((9,)))
    dense = encoder.get_layer("layer_0").intermediate
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.full(dense.lora_kernel_b.shape, 0.2))
    after = NativeEncoder(encoder)(make_texts((9,)))
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after[0], emulate(encoder, make_texts((9,))[0]), atol=1e-5)
