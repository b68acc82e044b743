"""Pictures become pixels; broken and too large ones are refused by name, before they are decoded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfchain.core.errors import InputError
from tfchain.data.pictures.pixels import chooses_order, make_thumbnail, read_pixels, resize_pixels, write_png

PICTURES = Path(__file__).parents[2] / "parity" / "image_fixtures" / "pictures"


def test_paths_bytes_arrays_and_pil_give_the_same_pixels() -> None:
    file = PICTURES / "plain.png"
    with Image.open(file) as opened:
        expected = np.asarray(opened)
        for picture in (file, str(file), file.read_bytes(), expected, opened):
            np.testing.assert_array_equal(read_pixels(picture), expected)


def test_transparency_is_put_on_white() -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 128, 255)  # black: clear, half clear, opaque
    np.testing.assert_array_equal(read_pixels(pixels)[0, :, 0], [255, 127, 0])


def test_gray_arrays_become_rgb() -> None:
    gray = np.array([[7, 9]], np.uint8)
    np.testing.assert_array_equal(read_pixels(gray), np.repeat(gray[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(read_pixels(gray[:, :, None]), read_pixels(gray))


def test_of_16_bits_the_upper_8_are_taken() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)).save(buffer, "PNG")
    assert read_pixels(buffer.getvalue())[0, :, 1].tolist() == [0, 0, 1, 127, 255]


def test_a_photo_is_turned_as_exif_says() -> None:
    upright, turned = read_pixels(PICTURES / "photo.jpg"), read_pixels(PICTURES / "turned.jpg")
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))  # 6: a quarter, clockwise


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = (PICTURES / "bomb.png").read_bytes()
    assert len(bomb) < 1000  # 50,000 x 50,000 pixels
    with pytest.raises(InputError, match="images\\[3\\]: a picture must have at most 89,478,485 pixels.*not decoded"):
        read_pixels(bomb, place="images[3]")
    with pytest.raises(InputError, match="from 1 to 100 pixels. Received: 90 x 60. It was not decoded"):
        read_pixels(PICTURES / "plain.png", max_pixels=100)
    with pytest.raises(InputError, match="from 1 to 3 pixels. Received: 2 x 2"):
        read_pixels(np.zeros((2, 2, 3), np.uint8), max_pixels=3)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (b"", "Received: 0 bytes, which is none of these"),
        (b"not a picture", "must be a file of JPEG, PNG, GIF, BMP, WEBP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "none of these"),  # Pillow would start Ghostscript for it
        ("no/such/file.png", "no/such/file.png cannot be read: No such file"),
        (7, "a picture must be a path, bytes, an array or a PIL.Image. Received: 7 of type int"),
        (np.zeros((2, 2, 3)), "must hold 8 bits.*Received: float64"),
        (np.zeros((2, 2, 2), np.uint8), "Received: uint8 \\(2, 2, 2\\)"),
        (np.zeros((0, 2, 3), np.uint8), "from 1 to"),
        (np.zeros((1, 65_536, 3), np.uint8), "at most 65,535 a side. Received: 65,536 x 1"),
        ("a\0b.png", "cannot be read: embedded null byte"),
        ("~nobody-of-this-name/a.png", "cannot be read: Could not determine home"),
        (Image.new("F", (2, 2)), "a PIL.Image of mode F"),
    ],
)
def test_what_is_no_picture_is_named(picture: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pixels(picture)


def test_a_cut_off_file_is_broken() -> None:
    for name in ("photo.jpg", "plain.png", "lossy.webp"):
        content = (PICTURES / name).read_bytes()
        with pytest.raises(InputError, match="image: the picture is broken"):
            read_pixels(content[: len(content) // 2])


def test_thumbnails_are_small_jpegs_in_proportion() -> None:
    with Image.open(io.BytesIO(make_thumbnail(np.zeros((300, 200, 3), np.uint8), side=60))) as small:
        assert (small.format, small.size) == ("JPEG", (40, 60))


def test_png_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    np.testing.assert_array_equal(read_pixels(write_png(pixels)), pixels)


def test_resizing_is_pillows() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((5, 4), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resize_pixels(pixels, 4, 5, resample=3), expected)
    assert chooses_order() in (True, False)
