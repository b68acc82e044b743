"""Small shapes that the tests of the models room share."""

import keras
import pytest

from tfchain.models.encoders.config import EncoderConfig, TransformerConfig


@pytest.fixture
def small_config() -> EncoderConfig:
    keras.utils.set_random_seed(7)
    return EncoderConfig(
        transformer=TransformerConfig(
            architecture="bert",
            vocabulary_size=20,
            hidden_dim=8,
            num_layers=2,
            num_heads=2,
            intermediate_dim=12,
            max_positions=16,
            num_token_types=2,
        ),
        normalize=True,
    )
