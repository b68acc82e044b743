"""A mean over layers by every engine: those that walk through the encoder have it, the int8 kernels refuse it."""

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.engines.calibration import Calibration
from tfchain.models.engines.native_encoder import find_obstacle_of, find_obstacle_of_shape
from tfchain.models.engines.runner import EncoderRunner

IDS = [[2, 3], [2, 5, 6, 7, 8, 3], [2, 9, 3], [2, 4, 4, 3], *[[2, number, 3] for number in range(4, 12)]]


@pytest.fixture
def encoder(small_config: EncoderConfig) -> Encoder:
    shape = dataclasses.replace(small_config.transformer, layer_weights=(2.0, 1.0, 3.0))
    return Encoder(dataclasses.replace(small_config, transformer=shape))


@pytest.fixture
def expected(encoder: Encoder) -> np.ndarray:
    return np.concatenate(
        [
            np.asarray(
                encoder({"token_ids": np.array([ids], "int32"), "padding_mask": np.ones((1, len(ids)), "int32")})
            )
            for ids in IDS
        ]
    )


@pytest.mark.parametrize(
    ("engine", "options", "bound"),
    [
        ("tensorflow", {}, 1e-6),
        ("litert", {}, 1e-6),
        ("tensorflow", {"precision": "bfloat16"}, 2e-2),
    ],
)
def test_engines_that_walk_through_the_encoder_average_its_layers(
    encoder: Encoder, expected: np.ndarray, engine: Any, options: dict[str, Any], bound: float
) -> None:
    runner = EncoderRunner(encoder, engine=engine, **options)
    np.testing.assert_allclose(runner(IDS), expected, atol=bound)
    np.testing.assert_allclose(runner(IDS[1:2]), expected[1:2], atol=bound)  # LiteRT's function of a single text
    plain = make_blank_encoder(
        dataclasses.replace(
            encoder.config, transformer=dataclasses.replace(encoder.config.transformer, layer_weights=())
        )
    )
    plain.set_weights(encoder.get_weights())
    assert np.abs(EncoderRunner(plain, engine="tensorflow")(IDS) - expected).max() > 0.1


@pytest.mark.usefixtures("int8_products")
def test_calibrated_products_keep_the_mean(encoder: Encoder, expected: np.ndarray) -> None:
    calibration = Calibration(tuple(map(tuple, IDS)))
    runner = EncoderRunner(encoder, engine="tensorflow", precision="int8", calibration=calibration)
    np.testing.assert_allclose(runner(IDS), expected, atol=0.05)


def test_the_int8_kernels_refuse_it_and_auto_takes_litert(
    encoder: Encoder, expected: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = "the kernels return the last layer's output, and no mean over layers"
    assert find_obstacle_of(encoder) == find_obstacle_of_shape(encoder.config) == obstacle
    with pytest.raises(InputError, match=f"'native' cannot run this encoder here: {obstacle}.*Use engine='auto'"):
        EncoderRunner(encoder, engine="native", precision="int8")
    caplog.set_level(logging.INFO, logger="tfchain")
    runner = EncoderRunner(encoder, precision="int8")
    np.testing.assert_allclose(runner(IDS), expected, atol=0.05)
    assert type(runner.running).__name__ == "LiteRTEngine"
    assert f"not tfchain's own kernels: {obstacle}" in caplog.text


def test_the_numpy_engine_refuses_it(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="Received: engine='numpy'"):
        EncoderRunner(encoder, engine="numpy")
