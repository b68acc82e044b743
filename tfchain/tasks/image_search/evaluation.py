"""Evaluates an image search: each caption must find its picture among those of the evaluation data."""

import dataclasses
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.task import Evaluate
from tfchain.data.pictures.reading import PictureItem, read_pictures
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.images.preprocessing import normalize
from tfchain.tasks.image_search.encoding import check_items, read_in_model_size
from tfchain.tasks.ranking_metrics import largest_cutoff, ranking_metrics


@dataclasses.dataclass(frozen=True)
class JudgedPictures:
    """Pictures with captions; a caption's right answers are the pictures that have it.

    Args:
        items: The pictures.
    """

    items: Sequence[PictureItem]

    @property
    def queries(self) -> dict[str, str]:
        """Query id → text: each caption once, named after its first picture."""
        first: dict[str, str] = {}
        for item in self.items:
            first.setdefault(item.caption, item.id)
        return {name: caption for caption, name in first.items()}

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        """Query id → picture id → 1."""
        by_caption: dict[str, dict[str, int]] = {}
        for item in self.items:
            by_caption.setdefault(item.caption, {})[item.id] = 1
        return {name: by_caption[caption] for name, caption in self.queries.items()}

    @property
    def corpus(self) -> None:
        """None: a version that holds no pictures cannot rank these by their texts."""
        return None

    @property
    def fingerprint(self) -> str:
        """A hash of ids, captions and the pictures' contents.

        Raises:
            InputError: if a picture's archive cannot be read.
        """
        listed = [[item.id, item.caption, sha256(_to_bytes(item.load())).hexdigest()] for item in self.items]
        return make_fingerprint({"items": listed}, ())


def _to_bytes(picture: Any) -> bytes:
    """Returns what a picture is told apart by; nothing of one that cannot be read, which the evaluation names."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    try:
        if isinstance(picture, str | Path):
            return Path(picture).expanduser().read_bytes()
        pixels = np.asarray(picture)  # of an array or a PIL.Image
    except Exception:  # Pillow raises OSError, SyntaxError, ValueError, …
        return b""
    return f"{pixels.dtype} {pixels.shape} ".encode() + pixels.tobytes()


def read_judged(source: Any, *, split: str) -> JudgedPictures:
    """Reads evaluation data: what `read_pictures` takes, pairs of a picture and its caption included.

    Raises:
        InputError: if it cannot be read, or no picture has a caption.
    """
    items = [item for item in read_captioned(source, split) if item.caption.strip()]
    if not items:
        raise InputError("Evaluation data must have pictures with captions. Received: none with a caption.")
    return JudgedPictures(items)


def read_captioned(source: Any, split: str | None) -> list[PictureItem]:
    """Reads pictures with captions: `(picture, caption)` pairs, or what `read_pictures` takes."""
    if isinstance(source, list | tuple) and source and all(isinstance(row, tuple) and len(row) == 2 for row in source):
        source = [
            {"image": picture, "caption": caption, "id": str(row)} for row, (picture, caption) in enumerate(source)
        ]
    return read_pictures(source, split=split)


def describe_judged(judged: JudgedPictures) -> Mapping[str, str]:
    """Returns fingerprints, by name, of everything but the model that an evaluation depends on."""
    return {"pictures": judged.fingerprint}


def make_evaluation(
    judged: JudgedPictures, *, metrics: Sequence[str], batch_size: int, progress: bool | None = None
) -> Evaluate:
    """Returns a function from a model to its metrics: captions are searched among the pictures of the data."""
    cutoff = largest_cutoff(metrics)
    queries, qrels = judged.queries, judged.qrels
    ids = [item.id for item in judged.items]
    read: list[np.ndarray] = []  # the pictures in the model's size, uint8; read at the first call

    def evaluate(model: ImageTextModel) -> Mapping[str, float]:
        if not read:
            check_items(judged.items)
            read.extend(read_in_model_size(model, judged.items, progress=progress))
        vectors = [
            model.encode_pixels(normalize(np.stack(read[start : start + batch_size]), model.pictures))
            for start in range(0, len(read), batch_size)
        ]
        texts = model.encode_texts(list(queries.values()), batch_size=batch_size, progress=False)
        scores = texts @ np.concatenate(vectors).T  # (queries, pictures)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : cutoff or len(ids)]
        run = {
            query: [(ids[place], float(scores[row, place])) for place in order[row].tolist()]
            for row, query in enumerate(queries)
        }
        return ranking_metrics(run, qrels, metrics)

    return evaluate
