"""The rows of a training of two towers: pictures in the model's size with their captions, batch by batch."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.models.images.config import PictureConfig
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.tasks.image_search.encoding import read_in_model_size
from tfchain.tasks.image_search.evaluation import read_captioned


@dataclass(frozen=True)
class PictureRows:
    """Pictures with captions.

    Args:
        pixels: The pictures in the model's size, uint8 `(rows, height, width, 3)`.
        captions: Their captions.
    """

    pixels: np.ndarray
    captions: Sequence[str]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def fingerprint(self) -> str:
        """A hash of pictures and captions."""
        return make_fingerprint({"captions": list(self.captions)}, [("pixels", self.pixels)])

    @property
    def caption_numbers(self) -> np.ndarray:
        """The number of each row's caption, int32 `(rows,)`; equal captions have the same."""
        return np.unique(np.array(self.captions, dtype=object), return_inverse=True)[1].astype(np.int32)


def read_rows(model: ImageTextModel, source: Any, *, split: str, progress: bool | None = None) -> PictureRows:
    """Reads the rows to train on: see `read_captioned`; a table with a column `split` gives the rows of the split.

    Raises:
        InputError: if they cannot be read, one has no caption, or there are fewer than two.
    """
    if isinstance(source, PictureRows):
        return source
    items = read_captioned(source, split)
    for item in items:
        if not item.caption.strip():
            raise InputError(f"{item.place}: a picture to train on needs a caption. Received: none. Leave it out.")
    if len(items) < 2:
        raise InputError(f"`fit` compares pictures with each other, and needs two or more. Received: {len(items)}.")
    pixels = np.stack(read_in_model_size(model, items, progress=progress))
    return PictureRows(pixels, [item.caption for item in items])


def make_batches(
    model: ImageTextModel,
    rows: PictureRows,
    *,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    drop_remainder: bool = False,
    augmentation: Sequence[keras.layers.Layer] = (),
) -> tuple[Any, int]:
    """Makes the endless batches of a training; the same step always has the same rows.

    Args:
        model: Gives token ids, and how pictures are normalised.
        rows: The rows.
        batch_size: Rows in a batch.
        seed: Of the order of the rows, which differs from epoch to epoch.
        first_step: The step to begin with. Default: 0.
        drop_remainder: Whether an epoch's last batch is left out if it is not full. Default: False.
        augmentation: Keras layers that change pictures, given as numbers from 0 to 255. Default: none.

    Returns:
        A `tf.data.Dataset` of dicts (`pixels`, `token_ids`, `padding_mask`, `captions`), and the steps of an epoch.

    Raises:
        InputError: if an epoch has no batch.
    """
    import tensorflow as tf

    steps = len(rows) // batch_size if drop_remainder else -(-len(rows) // batch_size)
    if not steps:
        raise InputError(
            f"An epoch has no full batch: {len(rows)} rows, batch_size={batch_size}. Lower it, or leave out "
            "drop_remainder."
        )
    token_ids, mask = model.to_token_ids(list(rows.captions))
    numbers = rows.caption_numbers

    def take(places: Any) -> tuple[np.ndarray, ...]:
        chosen = np.asarray(places)
        return rows.pixels[chosen], token_ids[chosen], mask[chosen], numbers[chosen]

    def list_places() -> Iterator[np.ndarray]:
        for step in itertools.count(first_step):
            epoch, place = divmod(step, steps)
            order = np.random.default_rng((seed, epoch)).permutation(len(rows))
            yield order[place * batch_size : (place + 1) * batch_size]

    def make(places: Any) -> dict[str, Any]:
        pixels, ids, masks, captions = tf.numpy_function(
            take, [places], [tf.uint8, tf.int32, tf.int32, tf.int32], stateful=False
        )
        pixels = tf.ensure_shape(pixels, (None, *rows.pixels.shape[1:]))
        return {
            "pixels": to_training_input(tf.cast(pixels, tf.float32), model.pictures, augmentation),
            "token_ids": tf.ensure_shape(ids, (None, token_ids.shape[1])),
            "padding_mask": tf.ensure_shape(masks, (None, token_ids.shape[1])),
            "captions": tf.ensure_shape(captions, (None,)),
        }

    spec = tf.TensorSpec((None,), tf.int64)
    dataset = tf.data.Dataset.from_generator(list_places, output_signature=spec)
    return dataset.map(make, num_parallel_calls=1, deterministic=True).prefetch(2), steps


def to_training_input(pixels: Any, config: PictureConfig, augmentation: Sequence[keras.layers.Layer]) -> Any:
    """Changes and normalises pictures: float32 `(batch, height, width, 3)` from 0 to 255, in a graph."""
    import tensorflow as tf

    for layer in augmentation:
        pixels = layer(pixels, training=True)
    pixels = tf.clip_by_value(tf.cast(pixels, tf.float32), 0.0, 255.0) * config.scale
    return (pixels - tf.constant(config.mean, tf.float32)) / tf.constant(config.std, tf.float32)
