"""NumPy computes a static encoder's vectors as its Keras model does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.blocks.static import make_static_shape
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.engines.numpy_engine import find_obstacle_of_static
from tfchain.models.engines.runner import EncoderRunner
from tfchain.models.text_encoder import TextEncoder

FOLDER = Path(__file__).parents[2] / "parity" / "fixtures" / "static"
IDS = [[5, 6, 7, 5], [], [8], list(range(10)) * 30]


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("skipped", [0, 2])
def test_vectors_are_those_of_tensorflow(precision: Any, skipped: int) -> None:
    shape = make_static_shape(10, 6, normalize=True)
    dense = (DenseConfig(in_dim=6, out_dim=4),)
    order = ("layer_norm", "dense", "normalize")
    shape = EncoderConfig(transformer=shape.transformer, dense=dense, normalize=True, order=order)
    encoder = Encoder(shape)
    random = np.random.default_rng(0)
    encoder.set_weights([random.normal(size=weight.shape) for weight in encoder.weights])
    seen: list[int] = []
    made = EncoderRunner(encoder, precision=precision)(IDS, skipped=skipped, progress=seen.append)
    expected = EncoderRunner(encoder, precision=precision, engine="tensorflow")(IDS, skipped=skipped)
    np.testing.assert_allclose(made, expected, atol=1e-6)
    assert sum(seen) == 4
    alone = np.concatenate([EncoderRunner(encoder, precision=precision)([ids], skipped=skipped) for ids in IDS])
    np.testing.assert_allclose(alone, made, rtol=0, atol=1e-6)  # the product of one row may round otherwise


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("skipped", [0, 2])
def test_means_of_a_text_alone_and_among_others_are_the_same_to_the_last_bit(precision: Any, skipped: int) -> None:
    encoder = Encoder(make_static_shape(10, 6, normalize=True))
    encoder.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in encoder.weights])
    among = EncoderRunner(encoder, precision=precision)(IDS, skipped=skipped)
    alone = np.concatenate([EncoderRunner(encoder, precision=precision)([ids], skipped=skipped) for ids in IDS])
    np.testing.assert_array_equal(alone, among)


def test_it_runs_when_the_weights_change() -> None:
    text_encoder = TextEncoder.from_pretrained(FOLDER)
    before = text_encoder.encode("a dog")
    text_encoder.set_weights([2 * np.asarray(weight) for weight in text_encoder.own_encoder.weights])
    assert np.abs(text_encoder.encode("a dog") - before).max() > 1e-3
    assert type(text_encoder.runner.running).__name__ == "NumpyEngine"


def test_what_it_does_not_compute_is_named() -> None:
    shape = make_static_shape(10, 6, normalize=True).transformer
    pooled = EncoderConfig(transformer=shape, pooling=PoolingConfig(modes=("max",)))
    assert find_obstacle_of_static(pooled) == "NumPy pools by the mean, not by max"
    headed = EncoderConfig(transformer=shape, head=DenseConfig(in_dim=6, out_dim=2, activation="gelu"))
    assert find_obstacle_of_static(headed) is None
    with pytest.raises(InputError, match="'numpy' cannot run this encoder: NumPy pools by the mean, not by max"):
        EncoderRunner(Encoder(pooled), engine="numpy")


def test_other_encoders_do_not_have_it(tiny_model_path: Path) -> None:
    with pytest.raises(InputError, match="float32 is computed by 'litert' or 'tensorflow'"):
        TextEncoder.from_pretrained(tiny_model_path, engine="numpy")
    with pytest.raises(InputError, match="bfloat16 is computed by 'tensorflow'"):
        TextEncoder.from_pretrained(FOLDER, engine="numpy", precision="bfloat16")


LEAN = """
import sys
from tfchain.models.text_encoder import TextEncoder

text_encoder = TextEncoder.from_pretrained(sys.argv[1], precision="int8")
print(text_encoder.encode(["a dog", "two lists"]).shape, *({"tensorflow", "keras", "transformers"} & set(sys.modules)))
"""


def test_it_needs_neither_tensorflow_nor_keras_nor_transformers() -> None:
    command = [sys.executable, "-c", LEAN, str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "(2, 12)"
