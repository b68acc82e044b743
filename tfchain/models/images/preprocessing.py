"""From pixels to a model's input on the host, with Pillow and NumPy: what a folder's preprocessor says."""

from collections.abc import Sequence

import numpy as np

from tfchain.data.pictures.pixels import resize_pixels
from tfchain.models.images.config import PictureConfig


def to_input(pixels: np.ndarray, config: PictureConfig) -> np.ndarray:
    """Resizes, cuts, scales and normalises a picture.

    Args:
        pixels: uint8 `(height, width, 3)`.
        config: How.

    Returns:
        float32 `(height, width, 3)`, with the shape of `config.shape`.
    """
    return normalize(to_model_size(pixels, config), config)


def to_model_size(pixels: np.ndarray, config: PictureConfig, *, place: str = "image") -> np.ndarray:
    """Resizes and cuts a picture: uint8 `(height, width, 3)`.

    Args:
        pixels: uint8 `(height, width, 3)`.
        config: How.
        place: What errors call the picture. Default: `image`.

    Raises:
        InputError: if one side is so much longer than the other that the resized picture would be too large.
    """
    height, width = config.find_resized(*pixels.shape[:2], place=place)
    resized = resize_pixels(pixels, height, width, resample=config.resample)
    if config.crop is None:
        return resized
    padding = [(-(-max(0, wanted - side) // 2), max(0, wanted - side) // 2) for side, wanted in _sides(resized, config)]
    padded = np.pad(resized, [*padding, (0, 0)])
    top, left = (
        max(0, (side - wanted) // 2 + before)
        for (side, wanted), (before, _) in zip(_sides(resized, config), padding, strict=True)
    )
    return padded[top : top + config.crop[0], left : left + config.crop[1]]


def normalize(pixels: np.ndarray, config: PictureConfig) -> np.ndarray:
    """Scales and normalises pixels: uint8 `(…, 3)` to float32."""
    scaled = (pixels * np.float64(config.scale)).astype(np.float32)  # as transformers, which scales in 64 bits
    normalized: np.ndarray = (scaled - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    return normalized


def stack_inputs(pictures: Sequence[np.ndarray], config: PictureConfig) -> np.ndarray:
    """Makes one input of several pictures: float32 `(pictures, height, width, 3)`."""
    return np.stack([to_input(pixels, config) for pixels in pictures])


def _sides(resized: np.ndarray, config: PictureConfig) -> list[tuple[int, int]]:
    assert config.crop is not None
    return list(zip(resized.shape[:2], config.crop, strict=True))
