from pathlib import Path

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.convert import to_encoder
from tfchain.models.encoders.config import PoolingConfig
from tfchain.models.hub import load_backbone, wrap_backbone

keras_hub = pytest.importorskip("keras_hub", reason="needs keras-hub (the extra `hub`)")

IDS = np.array([[2, 5, 7, 3], [2, 9, 3, 0]], dtype="int32")
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype="int32")


def test_a_bert_backbone_gives_the_mean_of_its_token_vectors() -> None:
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12, max_sequence_length=16
    )
    encoder = to_encoder(wrap_backbone(backbone, normalize=False))
    hidden = np.asarray(
        backbone({"token_ids": IDS, "padding_mask": MASK, "segment_ids": np.zeros_like(IDS)})["sequence_output"]
    )
    expected = np.stack([hidden[0].mean(0), hidden[1, :3].mean(0)])
    np.testing.assert_allclose(encoder({"token_ids": IDS, "padding_mask": MASK}), expected, atol=1e-6)


def test_a_decoder_backbone_gives_its_last_tokens_vector() -> None:
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12, max_sequence_length=16
    )
    encoder = wrap_backbone(backbone, pooling=PoolingConfig(modes=("lasttoken",)))
    hidden = np.asarray(backbone({"token_ids": IDS, "padding_mask": MASK}))
    expected = np.stack([hidden[0, 3], hidden[1, 2]])
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(encoder({"token_ids": IDS, "padding_mask": MASK}), expected, atol=1e-6)


def test_a_preset_folder_is_read(tmp_path: Path) -> None:
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12, max_sequence_length=16
    )
    backbone.save_to_preset(str(tmp_path / "preset"))
    inputs = {"token_ids": IDS, "padding_mask": MASK}
    again = wrap_backbone(load_backbone(str(tmp_path / "preset")))
    np.testing.assert_array_equal(again(inputs), wrap_backbone(backbone)(inputs))


def test_a_model_that_is_no_text_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="A backbone for text must take a dict"):
        wrap_backbone(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    with pytest.raises(InputError, match="A Keras encoder must take a dict of `token_ids` and `padding_mask`"):
        to_encoder(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
