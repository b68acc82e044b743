"""An encoder as a function of one text, beside the encoder itself."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.engines.query_function import make_single_function
from tfchain.models.engines.runner import EncoderRunner
from tfchain.models.engines.tensorflow_engine import make_function

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "factorized": {"transformer": {"token_embedding_dim": 4}},
    "relative": {
        "transformer": {
            "architecture": "mpnet", "num_token_types": 0, "position_offset": 2, "relative_attention_buckets": 8,
        }
    },
    "dense": {"dense": (DenseConfig(in_dim=16, out_dim=3), DenseConfig(in_dim=3, out_dim=5)), "modes": ("mean", "max")},
    "head": {"head": DenseConfig(in_dim=8, out_dim=3, activation="linear")},
    "unequal": {"normalize": False, "modes": ("cls", "lasttoken", "weightedmean", "mean_sqrt_len_tokens")},
}  # fmt: skip


def make_encoder(config: EncoderConfig, name: str, **changes: Any) -> Encoder:
    """One whose weights, biases included, are none of 0 and 1."""
    shape = SHAPES[name] | changes
    transformer = dataclasses.replace(config.transformer, **shape.pop("transformer", {}))
    pooling = PoolingConfig(modes=shape.pop("modes", ("mean",)))
    encoder = Encoder(dataclasses.replace(config, transformer=transformer, pooling=pooling, **shape))
    random = np.random.default_rng(0)
    encoder.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in encoder.get_weights()])
    return encoder


@pytest.mark.parametrize("name", SHAPES)
def test_it_gives_the_encoders_vectors(small_config: EncoderConfig, name: str) -> None:
    encoder = make_encoder(small_config, name)
    function = make_single_function(encoder).get_concrete_function()
    for ids, mask in (([2, 5, 9, 7, 3], [1] * 5), ([2, 5, 9, 7, 3], [2, 2, 1, 1, 1]), ([2], [1]), ([0], [0])):
        inputs = {"token_ids": np.array([ids], "int32"), "padding_mask": np.array([mask], "int32")}
        found = function(**{key: tf.constant(value) for key, value in inputs.items()})["embedding"]
        np.testing.assert_allclose(found, encoder(inputs), atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_no_shape_is_put_together_in_its_graph(small_config: EncoderConfig, name: str) -> None:
    encoder = make_encoder(small_config, name)
    one, many = (
        [node.type for node in make(encoder).get_concrete_function().graph.get_operations()]
        for make in (make_single_function, make_function)
    )
    shapes = [kinds.count("Pack") + kinds.count("ConcatV2") for kinds in (one, many)]
    assert shapes[0] < shapes[1]
    layers = [
        operation
        for operation in make_single_function(encoder).get_concrete_function().graph.get_operations()
        if operation.type == "Reshape" and "layer_" in operation.name
    ]
    assert layers
    assert all(tf.get_static_value(operation.inputs[1]) is not None for operation in layers)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which flatbuffers are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tfchain" / "litert"


def make_kept_runner(encoder: Encoder) -> EncoderRunner:
    return EncoderRunner(encoder, engine="litert", precision="int8", cache_key=fingerprint_model(encoder))


@pytest.fixture
def wide_config() -> EncoderConfig:
    """LiteRT quantizes matrices of more than 1,024 values."""
    keras.utils.set_random_seed(3)
    transformer = TransformerConfig(
        architecture="bert", vocabulary_size=30, hidden_dim=64, num_layers=2, num_heads=4, intermediate_dim=96,
        max_positions=32, num_token_types=2,
    )  # fmt: skip
    return EncoderConfig(transformer=transformer, normalize=True)


def test_in_int8_a_text_alone_has_the_vector_that_it_has_among_others(wide_config: EncoderConfig) -> None:
    encoder = Encoder(wide_config)
    runner = EncoderRunner(encoder, engine="litert", precision="int8")
    texts = [[2, *range(4, 4 + length), 3] for length in (1, 7, 0, 12)]
    alone = np.concatenate([runner([text]) for text in texts])
    assert runner.running.many is None  # a process that only answers queries holds one set of weights
    np.testing.assert_allclose(alone, runner(texts), atol=1e-5)
    assert runner.running.many is not runner.running.single
    np.testing.assert_allclose(runner(texts[1:2], skipped=2), runner([texts[1]] * 2, skipped=2)[:1], atol=1e-5)
    whole = EncoderRunner(encoder, engine="tensorflow")(texts)
    assert 1e-4 < np.abs(alone - whole).max() < 0.05


def test_it_is_made_anew_when_weights_have_changed(wide_config: EncoderConfig) -> None:
    encoder = Encoder(wide_config)
    runner = EncoderRunner(encoder, engine="litert", precision="int8")
    before = runner([[2, 5, 3]])
    encoder.set_weights([weight * 1.5 + 0.05 for weight in encoder.get_weights()])
    np.testing.assert_array_equal(runner([[2, 5, 3]]), before)
    runner.refresh()
    after = runner([[2, 5, 3]])
    expected = EncoderRunner(encoder, engine="tensorflow")([[2, 5, 3]])
    assert np.abs(expected - before).max() > 0.05
    np.testing.assert_allclose(after, expected, atol=0.02)


def test_it_is_kept_beside_the_one_for_many(
    wide_config: EncoderConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(wide_config)
    runner = make_kept_runner(encoder)
    expected = runner([[2, 5, 3]]), runner([[2, 5, 3], [2, 3]])
    names = sorted(path.name for path in cache.iterdir())
    assert [name.endswith("-int8-single.tflite") for name in names] == [True, False]
    monkeypatch.setattr("tfchain.models.engines.litert_engine.convert_encoder", None)  # another conversion would fail
    again = make_kept_runner(encoder)
    np.testing.assert_array_equal(again([[2, 5, 3]]), expected[0])
    np.testing.assert_array_equal(again([[2, 5, 3], [2, 3]]), expected[1])


def test_of_weights_that_changed_without_a_word_nothing_is_kept_and_both_are_made(
    wide_config: EncoderConfig, cache: Path
) -> None:
    encoder = Encoder(wide_config)
    runner = make_kept_runner(encoder)
    before = runner([[2, 5, 3], [2, 3]])
    encoder.set_weights([weight * 1.5 + 0.05 for weight in encoder.get_weights()])
    alone = runner([[2, 5, 3]])
    assert np.abs(alone - before[:1]).max() > 1e-3
    np.testing.assert_allclose(runner([[2, 5, 3], [2, 3]])[:1], alone, atol=1e-5)
    assert runner.cache_key is None
    (kept,) = cache.iterdir()
    assert kept.name.endswith("-int8.tflite")


def test_in_float32_one_flatbuffer_is_for_all(wide_config: EncoderConfig) -> None:
    runner = EncoderRunner(Encoder(wide_config), engine="litert")
    runner([[2, 5, 3]])
    assert runner.running.single is runner.running.many is not None


def test_a_keras_model_of_ones_own_has_one_flatbuffer_for_all(wide_config: EncoderConfig) -> None:
    encoder = Encoder(wide_config)
    runner = EncoderRunner(keras.Model(encoder.inputs, encoder.outputs), engine="litert", precision="int8")
    runner([[2, 5, 3]])
    assert runner.running.single is runner.running.many is not None


def test_litert_runs_it_in_other_shapes_too(wide_config: EncoderConfig) -> None:
    dense = (DenseConfig(in_dim=128, out_dim=48),)
    changes = SHAPES["relative"]["transformer"] | SHAPES["factorized"]["transformer"]
    encoder = make_encoder(wide_config, "dense", dense=dense, transformer=changes)
    runner = EncoderRunner(encoder, engine="litert", precision="int8")
    texts = [[2, 5, 9, 7, 3], [2, 3]]
    alone = np.concatenate([runner([text]) for text in texts])
    np.testing.assert_allclose(alone, runner(texts), atol=1e-5)
