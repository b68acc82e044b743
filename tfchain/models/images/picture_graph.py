"""From a file's bytes to a model's input inside a TensorFlow graph of stock ops, with Pillow's arithmetic.

Resizing is two products with Pillow's own weights, in whole numbers and rounded to 8 bits after each, so that it gives
Pillow's pixels. `resample_weights` follows Pillow's `Resample.c` (https://github.com/python-pillow/Pillow).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfchain.data.pictures.pixels import MAX_PIXELS, MAX_SIDE, chooses_order
from tfchain.models.images.config import PictureConfig
from tfchain.models.images.picture_headers import find_bits, find_kind, find_palette, find_size, find_turn, is_animated

PRECISION_BITS = 22  # of Pillow's weights: 32 bits without those of a pixel and two for overshooting
_SUPPORTS = {1: 3.0, 2: 1.0, 3: 2.0, 4: 0.5, 5: 1.0}  # how far a filter reaches, in pixels of the larger picture


def make_inputs(contents: tf.Tensor, config: PictureConfig, *, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Makes a model's input of pictures.

    Args:
        contents: The bytes of files, string `(batch,)`: JPEG, PNG, GIF, BMP, WebP.
        config: How pictures become the input.
        max_pixels: A picture with more pixels by its header fails the request before it is decoded. Default: as on
            the host.

    Returns:
        float32 `(batch, height, width, 3)`.
    """
    height, width = config.shape

    def make(content: tf.Tensor) -> tf.Tensor:
        return to_model_size(decode(content, max_pixels=max_pixels), config)

    spec = tf.TensorSpec((height, width, 3), tf.uint8)
    pixels = tf.map_fn(make, contents, fn_output_signature=spec, parallel_iterations=8)
    scaled = tf.cast(tf.cast(pixels, tf.float64) * tf.constant(config.scale, tf.float64), tf.float32)
    return (scaled - tf.constant(config.mean, tf.float32)) / tf.constant(config.std, tf.float32)


def decode(content: tf.Tensor, *, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes a file as `data.pictures.pixels.read_pixels` does: turned as EXIF says, transparency on white.

    Args:
        content: The file's bytes, a string scalar.
        max_pixels: The most pixels.

    Returns:
        uint8 `(height, width, 3)`.
    """
    kind = find_kind(content)
    known = tf.debugging.Assert(
        kind >= 0, ["A picture must be a file of JPEG, PNG, GIF, BMP or WebP. Received: bytes of another kind."]
    )
    with tf.control_dependencies([known]):
        size = find_size(content, kind)
    is_small = tf.debugging.Assert(
        tf.reduce_all((size >= 1) & (size <= MAX_SIDE)) & (tf.reduce_prod(tf.cast(size, tf.int64)) <= max_pixels),
        [
            f"A picture must have from 1 to {max_pixels} pixels, at most {MAX_SIDE} a side. Received:",
            *(size[0], "rows and", size[1], "columns."),
        ],
    )
    with tf.control_dependencies([is_small]):
        content = tf.identity(content)
    accurate = {"dct_method": "INTEGER_ACCURATE"}  # Pillow's
    decoders = [
        lambda: _turn(tf.io.decode_jpeg(content, channels=3, **accurate), find_turn(content)),
        lambda: _put_on_white(_decode_png(content)),
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),  # a GIF's first picture
        lambda: _decode_bmp(content),
        lambda: _decode_webp(content),
    ]
    decoded = tf.switch_case(kind, decoders)
    return tf.ensure_shape(decoded, (None, None, 3))


def to_model_size(pixels: tf.Tensor, config: PictureConfig) -> tf.Tensor:
    """Resizes and cuts a picture: uint8 `(height, width, 3)` of any size to the model's."""
    height, width = (tf.shape(pixels)[axis] for axis in (0, 1))
    sides = _find_resized(height, width, config)
    if config.crop is None:
        return tf.ensure_shape(resize(pixels, *sides, resample=config.resample), (*config.shape, 3))
    parts, padding = [], []
    for side, wanted in zip(sides, config.crop, strict=True):
        missing = tf.maximum(0, wanted - side)
        before = (missing + 1) // 2
        parts.append((tf.maximum(0, side - wanted) // 2, tf.minimum(side, wanted)))
        padding.append([before, missing - before])
    resized = resize(pixels, *sides, resample=config.resample, parts=parts)
    return tf.ensure_shape(tf.pad(resized, [*padding, [0, 0]]), (*config.shape, 3))


def resize(
    pixels: tf.Tensor, height: Any, width: Any, *, resample: int, parts: Sequence[tuple[Any, Any]] | None = None
) -> tf.Tensor:
    """Resizes a picture with one of Pillow's filters, in the order of axes in which the installed Pillow does it.

    Pillow 13 begins with the columns if that shortens them by more than twice what the rows are shortened by; older
    ones always begin with the rows.

    Args:
        pixels: uint8 `(rows, columns, 3)`.
        height: The new height, int32.
        width: The new width, int32.
        resample: The filter's number.
        parts: The first place and the number of places of the new height and width that are made, so that a long
            picture costs no more than what is cut out of it. Default: all.

    Returns:
        uint8 `(height, width, 3)`, or the part of it, equal to Pillow's.
    """
    rows, columns = tf.shape(pixels)[0], tf.shape(pixels)[1]
    of_height, of_width = ((0, height), (0, width)) if parts is None else parts

    def rows_first() -> tf.Tensor:
        wide = _resize_rows(pixels, width, resample, of_width)
        return _turn_axes(_resize_rows(_turn_axes(wide), height, resample, of_height))

    def columns_first() -> tf.Tensor:
        high = _turn_axes(_resize_rows(_turn_axes(pixels), height, resample, of_height))
        return _resize_rows(high, width, resample, of_width)

    if not chooses_order():
        return rows_first()
    shortens = (height < rows) & (rows - height > 2 * (columns - width))
    return tf.cond(shortens, columns_first, rows_first)


def _resize_rows(pixels: tf.Tensor, width: Any, resample: int, part: tuple[Any, Any]) -> tf.Tensor:
    """Resizes each row to a part of a new width: uint8 `(rows, part[1], 3)`."""
    rows, columns = tf.shape(pixels)[0], tf.shape(pixels)[1]
    values = tf.cast(_turn_axes(pixels), tf.float64)  # (columns, rows, 3)
    weights = resample_weights(columns, width, resample, part)
    values = _apply(weights, tf.reshape(values, [columns, rows * 3]))
    return _turn_axes(tf.cast(tf.reshape(values, [part[1], rows, 3]), tf.uint8))


def _turn_axes(pixels: tf.Tensor) -> tf.Tensor:
    return tf.transpose(pixels, (1, 0, 2))


def resample_weights(size: Any, new_size: Any, resample: int, part: tuple[Any, Any]) -> tf.Tensor:
    """Returns Pillow's weights of pixels, as whole numbers of which 2²² are 1: float64 `(part[1], size)`.

    Args:
        size: The pixels.
        new_size: The pixels of the resized picture.
        resample: The filter's number.
        part: The first of the new pixels whose weights are wanted, and their number.
    """
    length, new_length = tf.cast(size, tf.float64), tf.cast(new_size, tf.float64)
    scale = length / new_length
    widening = tf.maximum(scale, 1.0)
    support = tf.constant(_SUPPORTS[resample], tf.float64) * widening
    wanted = tf.cast(part[0] + tf.range(part[1]), tf.float64)
    centers = ((wanted + 0.5) * scale)[:, None]
    places = tf.range(length, dtype=tf.float64)[None, :]
    first = tf.maximum(tf.floor(centers - support + 0.5), 0.0)
    last = tf.minimum(tf.floor(centers + support + 0.5), length)
    values = _apply_filter((places - centers + 0.5) * (1.0 / widening), resample)
    values = tf.where((places >= first) & (places < last), values, tf.zeros_like(values))
    values = values / tf.reduce_sum(values, axis=1, keepdims=True)
    return tf.sign(values) * tf.floor(tf.abs(values) * 2.0**PRECISION_BITS + 0.5)


def _apply(weights: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Applies weights to the pixels of an axis, and rounds to 8 bits; sums of whole numbers are exact in 64 bits."""
    sums = tf.matmul(weights, values) + 2.0 ** (PRECISION_BITS - 1)
    return tf.clip_by_value(tf.floor(sums * 2.0**-PRECISION_BITS), 0.0, 255.0)


def _apply_filter(x: tf.Tensor, resample: int) -> tf.Tensor:
    """Returns a filter's values."""
    size = tf.abs(x)
    zero = tf.zeros_like(x)
    if resample == 1:  # Lanczos
        return tf.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3.0), zero)
    if resample == 2:  # bilinear
        return tf.maximum(1.0 - size, 0.0)
    if resample == 4:  # box
        return tf.where((x > -0.5) & (x <= 0.5), tf.ones_like(x), zero)
    if resample == 5:  # Hamming
        return tf.where(size < 1.0, _sinc(x) * (0.54 + 0.46 * tf.cos(size * math.pi)), zero)
    a = -0.5
    near = ((a + 2.0) * size - (a + 3.0)) * size * size + 1.0
    far = (((size - 5.0) * size + 8.0) * size - 4.0) * a
    return tf.where(size < 1.0, near, tf.where(size < 2.0, far, zero))


def _sinc(x: tf.Tensor) -> tf.Tensor:
    angle = x * math.pi
    safe = tf.where(tf.equal(x, 0.0), tf.ones_like(angle), angle)
    return tf.where(tf.equal(x, 0.0), tf.ones_like(angle), tf.sin(safe) / safe)


def _find_resized(height: tf.Tensor, width: tf.Tensor, config: PictureConfig) -> tuple[Any, Any]:
    if not isinstance(config.size, int):
        return config.size
    short, long = tf.minimum(height, width), tf.maximum(height, width)
    exact = tf.cast(config.size, tf.float64) * tf.cast(long, tf.float64) / tf.cast(short, tf.float64)
    fits = tf.debugging.Assert(
        exact < MAX_SIDE + 1,
        [
            f"A resized picture must have at most {MAX_SIDE} pixels a side. Received a far longer one:",
            *(height, "rows and", width, "columns."),
        ],
    )
    with tf.control_dependencies([fits]):
        longer = tf.cast(tf.floor(exact), tf.int32)
    shorter = tf.constant(config.size, tf.int32)
    return tf.where(width <= height, longer, shorter), tf.where(width <= height, shorter, longer)


def _put_on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Puts transparent pixels `(height, width, 4)` on white, with the arithmetic of Pillow's `alpha_composite`."""
    values = tf.cast(tf.ensure_shape(pixels, (None, None, 4)), tf.int32)
    color, alpha = values[:, :, :3], values[:, :, 3:]
    mixed = (color * alpha + 255 * (255 - alpha) + 128) * 128
    return tf.cast(tf.bitwise.right_shift(tf.bitwise.right_shift(mixed, 8) + mixed, 8) // 128, tf.uint8)


def _decode_png(content: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG file to four channels.

    Of a file with fewer than 8 bits and no transparency, the kernel fills the fourth with the largest value of these
    bits, which is opaque.
    """
    pixels = tf.ensure_shape(tf.io.decode_png(content, channels=4), (None, None, 4))
    filler = tf.cast(tf.bitwise.left_shift(1, tf.minimum(find_bits(content, 1), 8)) - 1, tf.uint8)
    alpha = pixels[:, :, 3:]
    is_filled = tf.reduce_all(tf.equal(alpha, filler))
    return tf.concat([pixels[:, :, :3], tf.where(is_filled, tf.constant(255, tf.uint8), alpha)], axis=2)


def _decode_bmp(content: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP file of 8 bits, whose kernel gives the numbers of colors, or of 24 or 32, without transparency."""
    bits = find_bits(content, 3)
    known = tf.debugging.Assert(
        tf.reduce_any(tf.equal(bits, (8, 24, 32))),
        ["A BMP file must have 8, 24 or 32 bits a pixel, and not be compressed. Received:", bits, "(-1: compressed)."],
    )
    with tf.control_dependencies([known]):
        pixels = tf.io.decode_bmp(content)
    colors = find_palette(content)

    def look_up() -> tf.Tensor:
        numbers = tf.minimum(tf.cast(pixels[:, :, 0], tf.int32), tf.shape(colors)[0] - 1)
        return tf.gather(colors, numbers)

    return tf.cond(tf.equal(bits, 8), look_up, lambda: pixels[:, :, :3])


def _decode_webp(content: tf.Tensor) -> tf.Tensor:
    """Decodes a WebP file, whose kernel gives as many channels as the file has.

    Animations are refused: the kernel writes beyond its memory for those without transparency, and decodes every
    picture of the others.
    """
    known = tf.debugging.Assert(
        ~is_animated(content), ["A WebP file must hold one picture. Received: an animation. Send its first picture."]
    )
    with tf.control_dependencies([known]):
        pixels = tf.io.decode_webp(content)[0]
    pixels = tf.cond(
        tf.shape(pixels)[2] == 4,
        lambda: pixels,
        lambda: tf.pad(pixels[:, :, :3], [[0, 0], [0, 0], [0, 1]], constant_values=tf.constant(255, tf.uint8)),
    )
    return _put_on_white(pixels)


def _turn(pixels: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a picture by EXIF's number, from 1 (as it is) to 8."""
    pixels = tf.cond(turn >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    mirrors = [(1, np.isin(np.arange(9), (2, 3, 6, 7))), (0, np.isin(np.arange(9), (3, 4, 7, 8)))]
    for axis, which in mirrors:
        flipped = tf.gather(tf.constant(which), turn)
        pixels = tf.cond(
            flipped, lambda pixels=pixels, axis=axis: tf.reverse(pixels, [axis]), lambda pixels=pixels: pixels
        )
    return pixels
