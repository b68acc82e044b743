"""What the headers of picture files say, read inside a TensorFlow graph: kind, size, and how to turn the picture."""

from typing import Any

import tensorflow as tf

KINDS = ("jpeg", "png", "gif", "bmp", "webp")
HEADER_BYTES = 65_536  # in which a photo's EXIF stands
MOST_TAGS = 64  # of EXIF's first directory
_ORIENTATION = 0x0112
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")


def find_kind(content: tf.Tensor) -> tf.Tensor:
    """Returns the place of a file's kind in `KINDS`, int32; -1 for another kind.

    Args:
        content: The file's bytes, a string scalar.
    """
    kind = tf.constant(-1)
    for number, beginning in enumerate(_BEGINNINGS):
        matches = tf.equal(_take(content, 0, len(beginning)), beginning)
        if beginning == b"RIFF":
            matches = matches & tf.equal(_take(content, 8, 4), b"WEBP")
        kind = tf.where(matches, number, kind)
    return kind


def find_size(content: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Returns rows and columns of a picture by its header, int32 `(2,)`, without decoding it.

    Args:
        content: The file's bytes, a string scalar.
        kind: From `find_kind`, not -1.
    """
    return tf.switch_case(
        kind,
        [
            lambda: tf.image.extract_jpeg_shape(content)[:2],
            lambda: _pair(_number(content, 20, 4, big=True), _number(content, 16, 4, big=True)),
            lambda: _pair(_number(content, 8, 2), _number(content, 6, 2)),
            lambda: _pair(tf.abs(_number(content, 22, 4)), tf.abs(_number(content, 18, 4))),
            lambda: _find_webp_size(content),
        ],
    )


def find_bits(content: tf.Tensor, kind: int) -> tf.Tensor:
    """Returns the bits of a PNG's channel or a BMP's pixel, int32; -1 of a compressed BMP.

    Args:
        content: The file's bytes, a string scalar.
        kind: The place in `KINDS`.
    """
    if KINDS[kind] == "png":
        return _number(content, 24, 1)
    plain = tf.reduce_any(tf.equal(_number(content, 30, 4), (0, 3)))  # BI_RGB, BI_BITFIELDS
    return tf.where(plain, _number(content, 28, 2), -1)


def find_palette(content: tf.Tensor) -> tf.Tensor:
    """Returns the colors of a BMP file of 8 bits, uint8 `(colors, 3)`; at least one.

    Args:
        content: The file's bytes, a string scalar.
    """
    start, used = 14 + _number(content, 14, 4), _number(content, 46, 4)
    size = tf.strings.length(content)
    start = tf.clip_by_value(start, 0, size)
    count = tf.where((used >= 1) & (used <= 256), used, 256)
    count = tf.maximum(0, tf.minimum(count, (size - start) // 4))
    padded = tf.strings.join([tf.strings.substr(content, start, 4 * count), tf.constant(b"\0" * 4)])
    return tf.reshape(tf.io.decode_raw(padded, tf.uint8), (-1, 4))[:, 2::-1]  # from blue, green, red, nothing


def is_animated(content: tf.Tensor) -> tf.Tensor:
    """Returns whether a WebP file says that it is an animation, a boolean scalar.

    Args:
        content: The file's bytes, a string scalar.
    """
    flags = _number(content, 20, 1)
    return tf.equal(_take(content, 12, 4), b"VP8X") & tf.not_equal(tf.bitwise.bitwise_and(flags, 2), 0)


def _find_webp_size(content: tf.Tensor) -> tf.Tensor:
    """Returns rows and columns of a WebP file, which has three kinds of header (RFC 9649)."""
    kind = _take(content, 12, 4)
    lossless = _number(content, 21, 4)
    fourteen = 0x3FFF
    lossy = _pair(
        tf.bitwise.bitwise_and(_number(content, 28, 2), fourteen),
        tf.bitwise.bitwise_and(_number(content, 26, 2), fourteen),
    )
    whole = _pair(
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(lossless, 14), fourteen) + 1,
        tf.bitwise.bitwise_and(lossless, fourteen) + 1,
    )
    extended = _pair(_number(content, 27, 3) + 1, _number(content, 24, 3) + 1)
    return tf.where(tf.equal(kind, b"VP8X"), extended, tf.where(tf.equal(kind, b"VP8L"), whole, lossy))


def find_turn(content: tf.Tensor) -> tf.Tensor:
    """Returns how a JPEG file is to be turned, EXIF's orientation from 1 to 8, int32; 1 if it does not say.

    Args:
        content: The file's bytes, a string scalar.
    """
    head = tf.strings.substr(content, 0, tf.minimum(HEADER_BYTES, tf.strings.length(content)))
    values = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
    marks = {0: 0xFF, 1: 0xE1, 4: 0x45, 5: 0x78, 6: 0x69, 7: 0x66, 8: 0, 9: 0}  # APP1, its length, `Exif\0\0`
    padded = tf.pad(values, [[0, 16]], constant_values=-1)
    length = tf.size(values)
    matches = tf.reduce_all(
        tf.stack([tf.equal(padded[offset : offset + length], mark) for offset, mark in marks.items()]), axis=0
    )
    start = tf.cast(tf.argmax(tf.cast(tf.pad(matches, [[0, 1]]), tf.int32)), tf.int32) + 10
    is_little = tf.equal(_read(values, start), 0x49)

    def read(place: Any, count: int) -> tf.Tensor:
        parts = [_read(values, place + offset) for offset in range(count)]
        big = little = tf.zeros_like(parts[0])
        for number in range(count):
            big = big * 256 + parts[number]
            little = little * 256 + parts[count - 1 - number]
        return tf.where(is_little, little, big)

    directory = start + read(start + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.clip_by_value(read(directory, 2), 0, MOST_TAGS))
    found = tf.where(tf.equal(read(entries, 2), _ORIENTATION), read(entries + 8, 2), 0)
    turn = tf.reduce_max(tf.concat([[0], found], 0))
    return tf.where(tf.reduce_any(matches) & (turn >= 1) & (turn <= 8), turn, 1)


def _read(values: tf.Tensor, place: Any) -> tf.Tensor:
    """Returns bytes at places; 0 beyond the end."""
    inside = (place >= 0) & (place < tf.size(values))
    padded = tf.pad(values, [[0, 1]])
    return tf.where(inside, tf.gather(padded, tf.where(inside, place, tf.size(values))), 0)


def _take(content: tf.Tensor, start: int, length: int) -> tf.Tensor:
    """Returns some bytes; fewer at the end of the file."""
    size = tf.strings.length(content)
    return tf.strings.substr(content, tf.minimum(start, size), tf.minimum(length, tf.maximum(0, size - start)))


def _number(content: tf.Tensor, start: int, length: int, *, big: bool = False) -> tf.Tensor:
    """Returns a whole number of some bytes, int32; bytes beyond the end of the file are 0."""
    padded = tf.strings.join([_take(content, start, length), b"\0" * length])
    values = tf.cast(tf.io.decode_raw(tf.strings.substr(padded, 0, length), tf.uint8), tf.int32)
    order = range(length) if big else reversed(range(length))
    number = tf.constant(0)
    for place in order:
        number = number * 256 + values[place]
    return number


def _pair(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.stack([rows, columns])
