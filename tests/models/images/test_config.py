"""The shapes of a model of images and texts check themselves, and survive JSON."""

import json
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.models.images.config import ImageTextConfig, ImageTowerConfig, LayersConfig, PictureConfig
from tfchain.models.images.folder import read_config

FIXTURES = Path(__file__).parents[2] / "parity" / "image_fixtures"
LAYERS = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}


@pytest.mark.parametrize("name", ["clip", "siglip", "chinese_clip"])
def test_a_configuration_survives_json(name: str) -> None:
    config = read_config(FIXTURES / name)
    assert ImageTextConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_pixels_beyond_the_last_whole_patch_make_no_patch() -> None:
    assert ImageTowerConfig(layers=LayersConfig(**LAYERS), image_size=16, patch_size=6).num_patches == 4


def test_pictures_keep_their_proportions_by_the_shorter_side() -> None:
    config = PictureConfig(size=224, crop=(224, 224))
    assert config.find_resized(300, 200) == (336, 224)
    assert config.find_resized(200, 301) == (224, 337)  # 337.12, cut off
    assert config.shape == (224, 224)
    assert PictureConfig(size=(10, 20)).find_resized(300, 200) == (10, 20)
    with pytest.raises(InputError, match="need a `crop`"):
        PictureConfig(size=224).shape  # noqa: B018


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayersConfig(**{**LAYERS, "num_layers": 0}), "`num_layers` must be at least 1"),
        (lambda: LayersConfig(**{**LAYERS, "num_heads": 3}), "multiple of `num_heads`"),
        (lambda: LayersConfig(**LAYERS, activation="swish"), "`activation` must be one of quick_gelu"),
        (lambda: ImageTowerConfig(layers=LayersConfig(**LAYERS), image_size=4, patch_size=5), "`patch_size` must be"),
        (lambda: PictureConfig(size=8, resample=0), "`resample` must be a filter of PIL"),
        (lambda: PictureConfig(size=8, std=(1, 0, 1)), "`mean` and `std` must be three numbers"),
    ],
)
def test_values_out_of_range_are_named(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
