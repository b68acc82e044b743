"""The one door to Pillow: pictures become arrays of pixels, are resized, and become thumbnails."""

import functools
import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, MissingPackageError, first_line

MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB
MAX_SIDE = 65_535  # of a picture, also when it is resized: JPEG's limit
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")  # what a version's graph decodes, too
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
THUMBNAIL_SIDE = 128
_WHITE = (255, 255, 255, 255)


def read_pixels(picture: Any, *, place: str = "image", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads a picture as transformers does: turned as EXIF says, transparency on white, in RGB.

    Args:
        picture: A path, a file's bytes, an array `(height, width)` or `(height, width, 1, 3 or 4)` of 8 bits, or a
            `PIL.Image`. Of an animation, the first picture is read.
        place: What errors call the picture. Default: `image`.
        max_pixels: A larger picture is refused by the size in its header, before it is decoded. Default: Pillow's own
            limit.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        InputError: if the picture is missing, broken, too large, or of another format than JPEG, PNG, GIF, BMP or WebP.
    """
    image, pillow = _load_pillow()
    if isinstance(picture, np.ndarray):
        opened = image.fromarray(_check_array(picture, place, max_pixels))
    elif isinstance(picture, image.Image):
        opened = picture
    else:
        opened = _open(picture, place, max_pixels)
    try:
        _check_size(opened.size, place, max_pixels)
        turned = pillow.ImageOps.exif_transpose(opened)
        return _to_rgb(turned, place)
    except InputError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, EOFError, …
        raise _make_broken(place, error) from error


def resize_pixels(pixels: np.ndarray, height: int, width: int, *, resample: int) -> np.ndarray:
    """Resizes a picture with one of Pillow's filters; each pass rounds to 8 bits.

    Args:
        pixels: uint8 `(height, width, 3)`.
        height: The new height.
        width: The new width.
        resample: The filter's number.
    """
    image, _ = _load_pillow()
    return np.asarray(image.fromarray(pixels).resize((width, height), resample))


@functools.cache
def chooses_order() -> bool:
    """Returns whether the installed Pillow chooses which axis it resizes first, as 13 does; older ones begin with rows.

    The order shows because the pass in between rounds to 8 bits.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    columns_first = resize_pixels(resize_pixels(pixels, 28, 40, resample=3), 28, 58, resample=3)
    return bool(np.array_equal(resize_pixels(pixels, 28, 58, resample=3), columns_first))


def make_thumbnail(pixels: np.ndarray, *, side: int = THUMBNAIL_SIDE) -> bytes:
    """Makes a small JPEG of a picture.

    Args:
        pixels: uint8 `(height, width, 3)`.
        side: The longer side, in pixels; a smaller picture keeps its size. Default: 128.
    """
    image, _ = _load_pillow()
    small = image.fromarray(pixels)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_png(pixels: np.ndarray) -> bytes:
    """Returns a picture as the bytes of a PNG file.

    Args:
        pixels: uint8 `(height, width, 3)`.
    """
    image, _ = _load_pillow()
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _open(picture: Any, place: str, max_pixels: int) -> Any:
    """Opens a file or its bytes, and reads the header alone."""
    image, pillow = _load_pillow()
    source: Any
    if isinstance(picture, bytes | bytearray | memoryview):
        source = io.BytesIO(picture)
    elif isinstance(picture, str | Path):
        try:
            source = io.BytesIO(Path(picture).expanduser().read_bytes())
        except (OSError, ValueError, RuntimeError) as error:  # a zero in the path; `~` of an unknown user
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{place}: {str(picture)[:200]} cannot be read: {reason}. Check the path.") from error
    else:
        raise InputError(
            f"{place}: a picture must be a path, bytes, an array or a PIL.Image. "
            f"Received: {picture!r:.80} of type {type(picture).__name__}."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image.DecompressionBombWarning)  # `_check_size` says it
            return image.open(source, formats=FORMATS)
    except image.DecompressionBombError as error:
        raise InputError(
            f"{place}: a picture must have at most {max_pixels:,} pixels. Received: one with more than "
            f"{2 * image.MAX_IMAGE_PIXELS:,} by its header. It was not decoded. Make it smaller first."
        ) from error
    except pillow.UnidentifiedImageError as error:
        raise InputError(
            f"{place}: a picture must be a file of {', '.join(FORMATS)}. Received: "
            f"{picture if isinstance(picture, str | Path) else f'{len(picture)} bytes'}, which is none of these."
        ) from error
    except Exception as error:  # a broken header, for which Pillow has several errors
        raise _make_broken(place, error) from error


def _to_rgb(opened: Any, place: str) -> np.ndarray:
    """Converts a picture to RGB on white, with the arithmetic of transformers' processors.

    Of 16 bits the upper 8 are taken, as the graph does; Pillow would make nearly all of them white.
    """
    image, _ = _load_pillow()
    if opened.mode.startswith("I;16"):
        opened = image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
    if opened.mode in ("I", "F"):
        raise InputError(
            f"{place}: a picture must have 8 bits, or be a file of 16. Received: a PIL.Image of mode {opened.mode}, "
            "whose numbers have no largest value. Make an array of 8 bits of it."
        )
    if "A" in opened.getbands() or opened.info.get("transparency") is not None:
        opened = opened.convert("RGBA")
        opened = image.alpha_composite(image.new("RGBA", opened.size, _WHITE), opened)
    return np.asarray(opened.convert("RGB"))


def _check_array(array: np.ndarray, place: str, max_pixels: int) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(
            f"{place}: an array must hold 8 bits, uint8 (height, width) or (height, width, 1, 3 or 4). "
            f"Received: {array.dtype} {array.shape}. Multiply values from 0 to 1 by 255, and round them."
        )
    _check_size((array.shape[1], array.shape[0]), place, max_pixels)
    return array


def _check_size(size: tuple[int, int], place: str, max_pixels: int) -> None:
    if not 1 <= math.prod(size) <= max_pixels or max(size) > MAX_SIDE:
        side = f" in all, and at most {MAX_SIDE:,} a side" if max(size) > MAX_SIDE else ""
        raise InputError(
            f"{place}: a picture must have from 1 to {max_pixels:,} pixels{side}. Received: {size[0]:,} x "
            f"{size[1]:,}. It was not decoded. Make it smaller first."
        )


def _make_broken(place: str, error: Exception) -> InputError:
    return InputError(
        f"{place}: the picture is broken: {type(error).__name__}: {first_line(error)}. Get the file again, or leave "
        "it out."
    )


def _load_pillow() -> tuple[Any, Any]:
    try:
        import PIL
        from PIL import Image, ImageOps  # noqa: F401  # `PIL.ImageOps` is used through PIL
    except ImportError as error:
        raise MissingPackageError("Pictures need the package pillow. Install it with `pip install pillow`.") from error
    return Image, PIL
