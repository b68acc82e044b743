"""What a program has set Keras to, and its random numbers: neither changes what tfchain computes, nor is changed."""

import locale
import os
import random
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain import NeuralSearchChain
from tfchain.models.encoders.encoder import fingerprint_model
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", "stocks fell on monday"]
PAIRS = [("the cat", "the cat sleeps"), ("a dog", "a dog runs")]


@pytest.fixture(scope="module")
def plain(thin_model_path: Path) -> tuple[str, np.ndarray]:
    """Fingerprint and vectors of the tiny model where nothing is set."""
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    return encoder.fingerprint, encoder.encode(TEXTS)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "bfloat16", "floatx float16"])
def ambient(request: pytest.FixtureRequest) -> Iterator[str]:
    """Keras as a program may have set it."""
    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    if request.param.startswith("floatx"):
        keras.config.set_floatx("float16")
        keras.config.set_dtype_policy("float16")  # as where keras.json says so
    else:
        keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(before)


def test_vectors_are_not_computed_in_the_type_that_keras_is_set_to(
    ambient: str, plain: tuple[str, np.ndarray], thin_model_path: Path, tmp_path: Path
) -> None:
    fingerprint, vectors = plain
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    assert {weight.dtype for weight in encoder.own_encoder.weights} == {"float32"}
    assert {layer.compute_dtype for layer in encoder.own_encoder._flatten_layers() if layer.weights} == {"float32"}
    assert encoder.fingerprint == fingerprint
    found = encoder.encode(TEXTS)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, vectors)
    encoder.save(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    assert again.fingerprint == fingerprint
    rounded = encoder.with_precision("bfloat16").encode(TEXTS)
    np.testing.assert_allclose(rounded, vectors, atol=2e-2)
    assert np.abs(rounded - vectors).max() > 1e-5


def train(path: Path) -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(path, engine="tensorflow")
    chain.add(TEXTS)
    tf.config.run_functions_eagerly(True)  # the types are the same in a graph
    try:
        chain.fit(PAIRS * 2, batch_size=2, seed=3)
    finally:
        tf.config.run_functions_eagerly(False)
    return chain


@pytest.fixture(scope="module")
def trained(thin_model_path: Path) -> np.ndarray:
    """Vectors of the tiny model trained where nothing is set."""
    return train(thin_model_path).encode(TEXTS)


@pytest.mark.parametrize("ambient", ["mixed_float16", "floatx float16"], indirect=True)
def test_a_chain_is_trained_saved_and_exported_whatever_keras_is_set_to(
    trained: np.ndarray, ambient: str, thin_model_path: Path, tmp_path: Path
) -> None:
    chain = train(thin_model_path)
    chain.save(tmp_path / "chain")
    assert NeuralSearchChain.load(tmp_path / "chain", engine="tensorflow").search("the cat")["answer"] in TEXTS
    chain.export(tmp_path / "versions", signatures="ids")
    assert keras.config.dtype_policy().name == ambient.removeprefix("floatx ")
    np.testing.assert_array_equal(chain.encode(TEXTS), trained)


def test_the_calibrated_int8_copy_is_float32_around_its_products(
    ambient: str, int8_products: None, thin_model_path: Path
) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    calibration = encoder.calibrate([f"the cat {number}" for number in range(10)])
    copy = encoder.with_precision("int8", calibration=calibration).runner.compute_encoder
    types = {weight.dtype for weight in copy.weights}
    assert types == {"float32", "int8"}


def test_a_keras_model_of_ones_own_has_one_fingerprint_whatever_keras_is_set_to_when_it_is_read(
    ambient: str, thin_model_path: Path, tmp_path: Path
) -> None:
    set_to = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    read = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    inner = keras.Model(read.own_encoder.inputs, read.own_encoder.outputs)  # a model in a model
    inputs = {one.name: keras.Input((None,), dtype="int32", name=one.name) for one in read.own_encoder.inputs}
    encoder = TextEncoder(read.tokenizer.tokenizer, keras.Model(inputs, inner(inputs)), engine="tensorflow")
    encoder.save(tmp_path)
    keras.config.set_dtype_policy(set_to)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_loading_encoding_and_saving_draw_no_random_numbers_of_the_program(
    thin_model_path: Path, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(5)
    expected = random.random(), np.random.random(), float(keras.random.uniform(()))
    keras.utils.set_random_seed(5)
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    encoder.encode(TEXTS)
    encoder.with_precision("bfloat16").encode("the cat")
    encoder.save(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    model = keras.Model(encoder.own_encoder.inputs, encoder.own_encoder.outputs)
    TextEncoder(encoder.tokenizer.tokenizer, model, engine="tensorflow").save(own)
    TextEncoder.from_pretrained(own, engine="tensorflow")
    assert (random.random(), np.random.random(), float(keras.random.uniform(()))) == expected


def test_a_new_encoder_is_as_random_as_before(thin_model_path: Path) -> None:
    config = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow").own_encoder.config
    from tfchain.models.encoders.encoder import Encoder

    made = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        made += [fingerprint_model(Encoder(config)), fingerprint_model(Encoder(config))]
    assert made[0] == made[2] != made[1] == made[3]
    assert made[4] not in made[:4]


def test_fingerprints_depend_neither_on_the_folder_one_is_in_nor_on_the_language(
    plain: tuple[str, np.ndarray], thin_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = locale.setlocale(locale.LC_ALL)
    monkeypatch.chdir(thin_model_path.parent)
    try:
        locale.setlocale(locale.LC_ALL, "C")
        encoder = TextEncoder.from_pretrained(thin_model_path.name, engine="tensorflow")
        (tmp_path / "saved").mkdir()
        encoder.save(Path(os.path.relpath(tmp_path / "saved")))
        assert encoder.fingerprint == plain[0]
    finally:
        locale.setlocale(locale.LC_ALL, before)
    monkeypatch.chdir(tmp_path)
    assert TextEncoder.from_pretrained("saved", engine="tensorflow").fingerprint == plain[0]
