"""Keras models made tensor by tensor, and what is said when a tensor does not fit."""

import keras
import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import list_shapes
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.weights.pretrained import make_encoder

CONFIG = EncoderConfig(
    transformer=TransformerConfig(
        architecture="bert", vocabulary_size=9, hidden_dim=4, num_layers=1, num_heads=2, intermediate_dim=6,
        max_positions=5,
    )
)  # fmt: skip


class CountedArrays(dict[str, np.ndarray]):
    """Arrays that remember how often each was read."""

    def __init__(self, *args: dict[str, np.ndarray]) -> None:
        super().__init__(*args)
        self.read: list[str] = []

    def __getitem__(self, path: str) -> np.ndarray:
        self.read.append(path)
        return super().__getitem__(path)


def make_arrays() -> CountedArrays:
    random = np.random.default_rng(0)
    return CountedArrays(
        {path: random.standard_normal(shape).astype("float32") for path, shape in list_shapes(CONFIG).items()}
    )


def test_each_array_is_read_once_and_becomes_its_variable() -> None:
    arrays = make_arrays()
    encoder = make_encoder(CONFIG, arrays)
    assert sorted(arrays.read) == sorted(arrays)
    for variable in encoder.weights:
        np.testing.assert_array_equal(variable, dict(arrays)[variable.path])


def test_what_does_not_fit_is_named_and_keras_goes_on() -> None:
    missing = make_arrays()
    del missing["layer_0/output/bias"]
    with pytest.raises(ModelFolderError, match="There is no tensor for layer_0/output/bias. Get the folder again."):
        make_encoder(CONFIG, missing)
    wrong = make_arrays()
    wrong["layer_0/output/bias"] = np.zeros(5, dtype="float32")
    expected = r"The tensor for layer_0/output/bias must have the shape \(4,\). Received: \(5,\)"
    with pytest.raises(ModelFolderError, match=expected):
        make_encoder(CONFIG, wrong)
    np.testing.assert_array_equal(keras.Variable([1.0, 2.0]) + 1, [2.0, 3.0])
    make_encoder(CONFIG, make_arrays())
