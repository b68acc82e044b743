"""Reads and encodes pictures for an index, and reports those that cannot be read."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.progress import show_progress
from tfchain.core.types import Document
from tfchain.data.pictures.pixels import make_thumbnail, read_pixels, write_png
from tfchain.data.pictures.reading import PictureItem
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.images.preprocessing import normalize, to_model_size
from tfchain.tasks.image_search.picture_index import EncodedPictures, PictureIndex

logger = logging.getLogger(__name__)

Broken = Literal["error", "skip"]


@dataclass(frozen=True)
class BrokenPicture:
    """A picture that could not be read.

    Args:
        id: Its id.
        place: Where it stands, such as `images[3]` or a file's name.
        reason: What is wrong with it.
    """

    id: str
    place: str
    reason: str


def check_items(items: Sequence[PictureItem]) -> None:
    """Raises an `InputError` if an id is empty or repeated."""
    seen: set[str] = set()
    for item in items:
        if not item.id or item.id in seen:
            raise InputError(
                f"{item.place or item.id}: pictures must have different ids that are not empty. "
                f"Received: {item.id!r}{' twice' if item.id else ''}. Give `ids`."
            )
        seen.add(item.id)


def encode_pictures(
    model: ImageTextModel,
    items: Sequence[PictureItem],
    *,
    broken: Broken = "error",
    keep: bool = True,
    batch_size: int = 32,
    progress: bool | None = None,
) -> tuple[EncodedPictures, list[BrokenPicture]]:
    """Reads and encodes pictures.

    Args:
        model: The model.
        items: The pictures.
        broken: `error` raises at the first picture that cannot be read, `skip` leaves such pictures out. Default:
            `error`.
        keep: Whether the model's input of each is kept, to make vectors again after a training. Default: True.
        batch_size: The most pictures in a step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        The pictures, and those that were left out, in their order.

    Raises:
        InputError: if a picture cannot be read, unless `broken` is `skip`; or if an id is repeated.
    """
    if broken not in ("error", "skip"):
        raise InputError(f"`broken` must be 'error' or 'skip'. Received: broken={broken!r}.")
    check_items(items)
    left_out: list[BrokenPicture] = []
    documents: list[Document] = []
    thumbnails: list[bytes] = []
    inputs: list[bytes] = []
    vectors: list[np.ndarray] = [np.zeros((0, model.embedding_dim), np.float32)]
    with show_progress(len(items), "encoding", shown=progress) as advance:
        for start in range(0, len(items), batch_size):
            part = items[start : start + batch_size]
            sizes: list[np.ndarray] = []
            for item, pixels, sized in _read(model, part, broken, left_out):
                sizes.append(sized)
                documents.append(Document(item.id, item.caption, metadata=item.metadata))
                thumbnails.append(make_thumbnail(pixels))
                inputs.append(write_png(sizes[-1]) if keep else b"")
            if sizes:
                vectors.append(model.encode_pixels(normalize(np.stack(sizes), model.pictures)))
            advance(len(part))
    if left_out:
        logger.warning(
            "%d of %d pictures cannot be read and were left out, such as %s: %s",
            *(len(left_out), len(items), left_out[0].place, left_out[0].reason),
        )
    return EncodedPictures(documents, np.concatenate(vectors), thumbnails, inputs), left_out


def read_in_model_size(
    model: ImageTextModel, items: Sequence[PictureItem], *, progress: bool | None = None
) -> list[np.ndarray]:
    """Reads pictures, resized and cut: uint8 `(height, width, 3)` each.

    Raises:
        InputError: if a picture cannot be read.
    """
    sizes = []
    with show_progress(len(items), "reading", shown=progress) as advance:
        for _, _, sized in _read(model, items, "error", []):
            sizes.append(sized)
            advance(1)
    return sizes


def encode_again(
    model: ImageTextModel, pictures: PictureIndex, *, batch_size: int = 32, progress: bool | None = None
) -> PictureIndex:
    """Returns an index of the same pictures with a model's vectors.

    Raises:
        InputError: if the input of a picture was not kept.
    """
    contents = pictures.list_inputs()
    vectors = [np.zeros((0, model.embedding_dim), np.float32)]
    with model.unchanged(), show_progress(len(contents), "encoding", shown=progress) as advance:
        fingerprint = model.fingerprint
        for start in range(0, len(contents), batch_size):
            part = np.stack([read_pixels(content) for content in contents[start : start + batch_size]])
            vectors.append(model.encode_pixels(normalize(part, model.pictures)))
            advance(len(part))
    return pictures.with_vectors(np.concatenate(vectors), fingerprint)


def _read(
    model: ImageTextModel, items: Sequence[PictureItem], broken: Broken, left_out: list[BrokenPicture]
) -> Iterator[tuple[PictureItem, np.ndarray, np.ndarray]]:
    """Yields pictures with their pixels, whole and in the model's size."""
    for item in items:
        place = item.place or item.id
        try:
            pixels = read_pixels(item.load(), place=place, max_pixels=model.max_pixels)
            sized = to_model_size(pixels, model.pictures, place=place)
        except InputError as error:
            if broken == "error":
                raise
            left_out.append(BrokenPicture(item.id, place, str(error)))
            continue
        yield item, pixels, sized
