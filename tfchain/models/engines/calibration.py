"""Calibration: the input ranges of an encoder's products, measured once on a sample of texts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.core.sampling import spread_evenly
from tfchain.models.encoders.walk import walk_transformer
from tfchain.models.engines.padding import pad
from tfchain.models.weights.folder_contents import CALIBRATION
from tfchain.runtime.fork import check_tensorflow_runs

if TYPE_CHECKING:
    from tfchain.models.encoders.encoder import Encoder

LEAST_TEXTS = 8
MOST_TEXTS = 64  # more texts changed no vector by more than rounding
BATCH = 8  # texts


@dataclass(frozen=True)
class Calibration:
    """A sample of texts as token ids, on which ranges are measured, again whenever the encoder's weights change.

    Args:
        token_ids: The ids of each text.

    Raises:
        InputError: if there are fewer than eight texts.
    """

    token_ids: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if len(self.token_ids) < LEAST_TEXTS:
            raise InputError(
                f"Calibration needs at least {LEAST_TEXTS} texts with words in them: with fewer, the input ranges of "
                f"products are unknown (NaN) or far too narrow. Received: {len(self.token_ids)}. Give more texts, or "
                "use Quantize('int8') without calibrated=True."
            )

    def save(self, folder: Path) -> None:
        """Writes `calibration.json`."""
        (folder / CALIBRATION).write_text(json.dumps({"token_ids": self.token_ids}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Calibration | None":
        """Reads `calibration.json`; returns None if there is no such file.

        Raises:
            ModelFolderError: if the file is damaged.
        """
        path = folder / CALIBRATION
        if not path.is_file():
            return None
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))["token_ids"]
            return cls(tuple(tuple(int(token_id) for token_id in ids) for ids in listed))
        except (ValueError, TypeError, KeyError) as error:
            raise ModelFolderError(
                f"{path} is damaged: {type(error).__name__}: {error}. Calibrate the model again, or delete the file "
                "and the precision in config_sentence_transformers.json."
            ) from error


def make_calibration(tokenize: Callable[[list[str]], Sequence[Sequence[int]]], texts: Sequence[str]) -> Calibration:
    """Makes a calibration from an evenly spaced sample of up to 64 texts that have words.

    Args:
        tokenize: A function from texts to token ids.
        texts: Texts of the kind that will be encoded.

    Raises:
        InputError: if fewer than eight have words.
    """
    chosen = spread_evenly([text for text in texts if text.strip()], MOST_TEXTS)
    return Calibration(tuple(tuple(int(token_id) for token_id in ids) for ids in (tokenize(chosen) if chosen else ())))


@dataclass(frozen=True)
class InputRange:
    """The measured values of a product's input by channel, float32 `(in_dim,)` each.

    Args:
        low: The smallest value.
        high: The largest value.
        mean_square: The mean of the squares.
    """

    low: np.ndarray
    high: np.ndarray
    mean_square: np.ndarray


def measure_input_ranges(
    encoder: "Encoder", calibration: Calibration, *, pad_token_id: int = 0
) -> dict[str, InputRange]:
    """Runs the sample through the encoder in float32 and measures the inputs of the transformer's products.

    Args:
        encoder: The encoder.
        calibration: The sample.
        pad_token_id: The id that pads shorter texts; padding is not measured. Default: 0.

    Returns:
        A product's path, such as `layer_0/attention/query_key_value`, → the range of its input.

    Raises:
        InputError: if a range is not finite because the encoder's weights are damaged.
    """
    import tensorflow as tf

    check_tensorflow_runs()
    specs = [tf.TensorSpec([None, None], tf.int32)] * 2

    @tf.function(input_signature=specs, autograph=False)
    def measure(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        is_token = tf.reshape(padding_mask, [-1]) > 0
        seen: dict[str, list[Any]] = {}  # several layers in a row may share a product

        def visit(path: str, rows: Any) -> None:
            rows = tf.boolean_mask(rows, is_token)
            low, high, square = tf.reduce_min(rows, 0), tf.reduce_max(rows, 0), tf.reduce_sum(tf.square(rows), 0)
            seen.setdefault(path, []).append(tf.stack([low, high, square]))

        walk_transformer(encoder.config.transformer, encoder.get_layer, token_ids, padding_mask, visit=visit)
        return {path: tf.stack(values) for path, values in seen.items()}

    parts: dict[str, list[np.ndarray]] = {}
    listed = sorted(calibration.token_ids, key=len)
    for start in range(0, len(listed), BATCH):
        ids, mask = pad(listed[start : start + BATCH], pad_token_id)
        for name, values in measure(tf.constant(ids), tf.constant(mask)).items():
            parts.setdefault(name, []).append(values.numpy())
    num_tokens = sum(len(ids) for ids in listed)
    ranges = {}
    for name, seen in parts.items():
        stacked = np.stack(seen)  # (batches, uses, 3, in_dim)
        if not np.isfinite(stacked).all():
            raise InputError(
                f"The input ranges of {name} are not finite (NaN or infinite), so it cannot be calibrated. "
                "The model's weights are damaged, or its training diverged: use another model, or train it again."
            )
        ranges[name] = InputRange(
            stacked[:, :, 0].min(axis=(0, 1)),
            stacked[:, :, 1].max(axis=(0, 1)),
            stacked[:, :, 2].mean(axis=1).sum(axis=0) / num_tokens,
        )
    return ranges
