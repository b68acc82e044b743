"""Pictures in a graph beside Pillow: every filter and size, EXIF's turns, headers, bombs and broken files."""

import io
import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfchain.core.errors import InputError
from tfchain.data.pictures.pixels import read_pixels
from tfchain.models.images import picture_graph
from tfchain.models.images.config import PictureConfig
from tfchain.models.images.picture_graph import decode, make_inputs, resize
from tfchain.models.images.picture_headers import KINDS, find_kind, find_size, find_turn
from tfchain.models.images.preprocessing import stack_inputs, to_model_size

PICTURES = Path(__file__).parents[2] / "parity" / "image_fixtures" / "pictures"
SIZES = [
    (60, 90, 30, 30),
    (60, 90, 61, 33),
    (5, 40, 16, 16),
    (40, 5, 16, 16),
    (33, 20, 7, 50),
    (20, 33, 50, 9),
    (1, 1, 4, 3),
]


@pytest.mark.parametrize("resample", [1, 2, 3, 4, 5])
def test_no_pixel_differs_from_pillows(resample: int) -> None:
    random = np.random.default_rng(resample)
    for height, width, new_height, new_width in [*SIZES, *random.integers(1, 70, (12, 4)).tolist()]:
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        expected = np.asarray(Image.fromarray(pixels).resize((new_width, new_height), resample))
        found = resize(tf.constant(pixels), new_height, new_width, resample=resample)
        np.testing.assert_array_equal(found, expected, err_msg=f"{height} x {width} to {new_height} x {new_width}")


def test_pictures_are_turned_as_exif_says_in_both_byte_orders() -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255  # a corner that shows each turn
    image = Image.fromarray(pixels)
    for orientation, is_big in itertools.product(range(10), (False, True)):
        exif = Image.Exif()
        exif.endian = ">" if is_big else "<"
        exif[0x010F] = "maker"
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", exif=exif.tobytes(), quality=95)
        content = tf.constant(buffer.getvalue())
        assert int(find_turn(content)) == (orientation if 1 <= orientation <= 8 else 1)
        np.testing.assert_array_equal(decode(content), read_pixels(buffer.getvalue()))


def test_headers_say_kind_and_size() -> None:
    for file in sorted(PICTURES.iterdir()):
        content = tf.constant(file.read_bytes())
        kind = find_kind(content)
        assert KINDS[int(kind)] == {".jpg": "jpeg"}.get(file.suffix, file.suffix[1:])
        width, height = 50_000, 50_000
        if file.stem != "bomb":
            with Image.open(file) as opened:
                width, height = opened.size
        assert find_size(content, kind).numpy().tolist() == [height, width], file.name
    for content in (b"", b"RIFF1234WAVE", b"\xff\xd8", b"no picture"):
        assert int(find_kind(tf.constant(content))) == -1


def test_bombs_are_refused_before_they_are_decoded() -> None:
    for limit, name, message in ((1000, "photo.jpg", "from 1 to 1000 pixels"), (10**6, "bomb.png", "50000")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            decode(tf.constant((PICTURES / name).read_bytes()), max_pixels=limit)


def test_what_is_no_picture_is_an_error_of_the_request() -> None:
    config = PictureConfig(size=(8, 8))
    for content in (b"", b"GIF8", b"no picture", (PICTURES / "plain.png").read_bytes()[:90]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            make_inputs(tf.constant([content]), config)


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_few_colors_and_many_bits_are_decoded_as_pillow_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(pixels)
    few = [image.quantize(number) for number in (2, 4, 16, 200)]  # PNG stores these in 1, 2, 4 and 8 bits
    deep = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    contents = {
        **{f"png {number}": save(each, "PNG") for number, each in enumerate(few)},
        "png of 1 bit": save(image.convert("1"), "PNG"),
        "png of 16 bits": save(deep, "PNG"),
        "clear color": save(few[2], "PNG", transparency=3),
        "bmp": save(few[3], "BMP"),
        "gray bmp": save(image.convert("L"), "BMP"),
        "color bmp": save(image, "BMP"),
        "gif": save(few[3], "GIF", save_all=True, append_images=[few[3].rotate(180)]),
    }
    for name, content in contents.items():
        np.testing.assert_array_equal(decode(tf.constant(content)), read_pixels(content), err_msg=name)


def test_what_the_kernels_do_not_decode_safely_is_refused() -> None:
    image = Image.new("RGB", (8, 8), "red")
    animation = save(image, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    packed = bytearray(save(image.quantize(4), "BMP"))
    packed[30] = 1  # runs of colors
    for content, message in (
        (animation, "Received: an animation"),
        (save(image.convert("1"), "BMP"), "8, 24 or 32 bits"),
        (bytes(packed), "-1"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            decode(tf.constant(content))


def test_long_pictures_cost_what_is_cut_out_of_them_and_far_longer_ones_are_refused() -> None:
    config = PictureConfig(size=32, crop=(32, 32))
    for shape in ((2, 3000, 3), (3000, 2, 3)):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        np.testing.assert_array_equal(picture_graph.to_model_size(pixels, config), to_model_size(pixels, config))
    longer = np.zeros((1, 2048, 3), np.uint8)
    with pytest.raises(InputError, match="x: a resized picture must.*Received: 2,048 x 1 pixels, resized to 65,536"):
        to_model_size(longer, config, place="x")
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 65535 pixels a side"):
        picture_graph.to_model_size(tf.constant(longer), config)


@pytest.mark.parametrize("size", [12, (12, 12)])
def test_pictures_that_are_too_small_for_the_crop_are_padded_as_on_the_host(size: int | tuple[int, int]) -> None:
    config = PictureConfig(size=size, crop=(17, 15), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    files = [PICTURES / name for name in ("photo.jpg", "narrow.png", "tiny.png")]
    host = stack_inputs([read_pixels(file) for file in files], config)
    assert to_model_size(read_pixels(files[0]), config).shape == (17, 15, 3)
    found = make_inputs(tf.constant([file.read_bytes() for file in files]), config)
    np.testing.assert_allclose(found, host, atol=1e-6)


def test_real_pictures_have_the_pixels_of_transformers_processors(shared_data: Path) -> None:
    """Of CLIP and SigLIP, on Pillow; pictures of Noto emoji are transparent."""
    import transformers

    sample = slice(0, None, 160)
    with zipfile.ZipFile(shared_data / "noto_emoji" / "images.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))[sample]
        contents = [archive.read(name) for name in names]
    opened = [Image.open(io.BytesIO(content)) for content in contents]
    for kind, config in (
        ("CLIPImageProcessorPil", PictureConfig(size=224, crop=(224, 224))),
        ("SiglipImageProcessorPil", PictureConfig(size=(224, 224))),
    ):
        processor = getattr(transformers, kind)()
        expected = processor(opened, return_tensors="np")["pixel_values"].transpose(0, 2, 3, 1)
        config = PictureConfig(size=config.size, crop=config.crop, mean=processor.image_mean, std=processor.image_std)
        np.testing.assert_allclose(stack_inputs([read_pixels(each) for each in contents], config), expected, atol=1e-6)
        np.testing.assert_allclose(make_inputs(tf.constant(contents), config), expected, atol=1e-6)
