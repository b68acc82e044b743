"""Texts as code points inside a graph, and the tables that map them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfchain.models.tokenizers.character_probe import BLOCK, NUM_CODE_POINTS

_SHIFT = BLOCK.bit_length() - 1
_PAIR = 1 << 21  # more than any code point
KEEP, DROP = 0, 1  # rows of every `Replacements`


class CodePoints(NamedTuple):
    """The characters of texts.

    Args:
        values: int32 `(characters,)`: the code points of all texts in a row.
        row_splits: int64 `(batch + 1,)`: where each text begins and ends.
    """

    values: tf.Tensor
    row_splits: tf.Tensor

    @classmethod
    def decode(cls, texts: tf.Tensor) -> "CodePoints":
        """Decodes texts, string `(batch,)`; bytes that are not UTF-8 become U+FFFD."""
        decoded = tf.raw_ops.UnicodeDecode(
            input=texts,
            input_encoding="UTF-8",
            errors="replace",
            replacement_char=0xFFFD,
            replace_control_characters=False,
        )
        return cls(decoded.char_values, decoded.row_splits)

    def encode(self) -> tf.Tensor:
        """Returns the texts: string `(batch,)`, UTF-8."""
        encoded: tf.Tensor = tf.raw_ops.UnicodeEncode(
            input_values=self.values, input_splits=self.row_splits, output_encoding="UTF-8"
        )
        return encoded

    @property
    def begins(self) -> tf.Tensor:
        """Whether each character is the first of its text: bool `(characters,)`."""
        rows = tf.ragged.row_splits_to_segment_ids(self.row_splits)
        return rows != previous(rows, -1)


class CodePointTable:
    """Looks up a number for each code point, 0 for those that are not in the table.

    Args:
        numbers: `{code point: number}`.
    """

    def __init__(self, numbers: Mapping[int, int]) -> None:
        cells = np.zeros(NUM_CODE_POINTS, np.int32)
        cells[list(numbers)] = list(numbers.values())
        blocks: dict[bytes, int] = {}
        pages = [blocks.setdefault(block.tobytes(), len(blocks)) * BLOCK for block in cells.reshape(-1, BLOCK)]
        self._pages = constant(pages, tf.int32)
        self._cells = constant(np.frombuffer(b"".join(blocks), np.int32), tf.int32)

    def look_up(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the numbers of code points: int32 `(characters,)`."""
        page = tf.gather(self._pages, tf.bitwise.right_shift(values, _SHIFT))
        return tf.gather(self._cells, page + tf.bitwise.bitwise_and(values, BLOCK - 1))


class PairTable:
    """Looks up a number for each pair of code points, 0 for pairs that are not in the table.

    Args:
        numbers: `{(first, second): number}`, at least one.
    """

    def __init__(self, numbers: Mapping[tuple[int, int], int]) -> None:
        ordered = sorted((first * _PAIR + second, number) for (first, second), number in numbers.items())
        self._keys = constant([key for key, _ in ordered], tf.int64)
        self._numbers = constant([number for _, number in ordered], tf.int32)
        self._last = len(ordered) - 1

    def look_up(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Returns the numbers of pairs: int32 `(pairs,)`."""
        keys = tf.cast(first, tf.int64) * _PAIR + tf.cast(second, tf.int64)
        place = tf.minimum(tf.searchsorted(self._keys, keys), self._last)
        return tf.where(tf.gather(self._keys, place) == keys, tf.gather(self._numbers, place), 0)


class Replacements:
    """Texts that take the place of characters, by row: row `KEEP` leaves a character, row `DROP` drops it.

    Args:
        texts: The replacements that are needed.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        rows = [" ", "", *sorted(set(texts) - {""})]
        self._row = {text: row for row, text in enumerate(rows) if row != KEEP}
        lengths = np.array([len(text) for text in rows])
        self._lengths = constant(lengths, tf.int32)
        self._starts = constant(np.concatenate([[0], np.cumsum(lengths)[:-1]]), tf.int32)
        self._values = constant([ord(character) for text in rows for character in text], tf.int32)

    def row_of(self, text: str) -> int:
        """Returns the row of a replacement."""
        return self._row[text]

    def replace(self, points: CodePoints, rows: tf.Tensor) -> CodePoints:
        """Puts the replacements, int32 `(characters,)`, in the place of all characters."""
        lengths = tf.gather(self._lengths, rows)
        ends = tf.concat([[0], tf.cumsum(lengths)], 0)  # (characters + 1,)
        # The n-th code point of the result is the (n - ends[i])-th of the replacement of its character i.
        sources = tf.repeat(tf.range(tf.size(rows)), lengths)
        shifts = tf.gather(self._starts, rows) - ends[:-1]
        places = tf.range(ends[-1]) + tf.gather(shifts, sources)
        kept = tf.gather(rows, sources) == KEEP
        values = tf.where(kept, tf.gather(points.values, sources), tf.gather(self._values, tf.where(kept, 0, places)))
        return CodePoints(values, tf.gather(tf.cast(ends, tf.int64), points.row_splits))


class CharacterMap:
    """Replaces single characters: a step of a normalizer.

    Args:
        replacements: `{code point: text}`; all others stay.
    """

    def __init__(self, replacements: Mapping[int, str]) -> None:
        self._replacements = Replacements(replacements.values())
        self._rows = CodePointTable({code: self._replacements.row_of(text) for code, text in replacements.items()})

    def __call__(self, points: CodePoints) -> CodePoints:
        return self._replacements.replace(points, self._rows.look_up(points.values))


def previous(values: tf.Tensor, first: int | bool) -> tf.Tensor:
    """Returns, for each place, the value before it, and `first` for the first."""
    return tf.concat([tf.fill(tf.minimum(tf.shape(values), 1), tf.constant(first, values.dtype)), values[:-1]], 0)


def constant(values: object, dtype: tf.DType) -> tf.Tensor:
    """Makes a constant once, outside any function that is being traced; the function's graph captures it."""
    with tf.init_scope(), tf.device("/CPU:0"):
        return tf.constant(values, dtype)
