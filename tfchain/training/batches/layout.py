"""How rows of texts become the tensors of a step: rectangles of similar length, and what the losses need with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.data.pairs.token_store import TokenStore

GROUP_CANDIDATES = 32


@dataclass(frozen=True)
class TrainingSet:
    """One dataset, ready for batches.

    Args:
        store: The token ids of its texts.
        keys: int64 `(rows, columns)`, identify the texts.
        judged: int64 `(rows, most)`, keys of the documents judged relevant, padded with 0.
        labels: float32 `(rows, k)`, or None.
        guide: float32 `(texts of the store, dim)`: a guide model's vectors, or None.
        skipped: How many leading tokens of each column's texts pooling leaves out (prompts).
    """

    store: TokenStore
    keys: np.ndarray
    judged: np.ndarray
    labels: np.ndarray | None = None
    guide: np.ndarray | None = None
    skipped: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def num_columns(self) -> int:
        """Texts in a row."""
        return int(self.keys.shape[1])


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a replica's texts become tensors.

    Args:
        groups: Number of rectangles that the texts are split into by length, to save padding; 0 makes a rectangle of
            each column, as sentence-transformers does. Default: 4.
        fixed_length: Pads all texts to this length, in one rectangle: for TPUs and XLA. Default: none.
        pad_token_id: The token id that texts are padded with. Default: 0.
    """

    groups: int = 4
    fixed_length: int | None = None
    pad_token_id: int = 0


class BatchLayout:
    """Lays out rows of one or several datasets, all in the same tensors.

    Args:
        sets: The datasets, or a part of each if they are read piece by piece.
        layout: How texts become tensors.
        rows: Rows of each batch, if shapes must be fixed. Default: any number.
    """

    def __init__(self, sets: Sequence[TrainingSet], layout: Layout, *, rows: int | None = None) -> None:
        self.layout = layout
        self.rows = rows if layout.fixed_length else None
        self.num_columns = max(dataset.num_columns for dataset in sets)
        self.num_judged = max(dataset.judged.shape[1] for dataset in sets)
        self.num_labels = max(0 if dataset.labels is None else dataset.labels.shape[1] for dataset in sets)
        self.guide_dim = max(0 if dataset.guide is None else dataset.guide.shape[1] for dataset in sets)

    def lay_out(self, dataset: TrainingSet, source: int, rows: np.ndarray) -> dict[str, Any]:
        """Makes the tensors of some rows.

        Args:
            dataset: The dataset of the rows.
            source: The dataset's number.
            rows: The rows' numbers in the dataset.

        Returns:
            `chunks`: rectangles of `(token_ids, padding_mask)`, int32, longest texts first; `places`: each text's
            position in them, row by row; `keys`, `judged`, `labels`, `guide` `(rows, …)`; `source`.
        """
        texts = dataset.store.rows[rows]  # (rows, columns)
        missing = self.num_columns - dataset.num_columns
        left_out = [*(dataset.skipped or [0] * dataset.num_columns)]
        # If another dataset has more columns, the query fills them: it is encoded anyway, and no loss reads them.
        # If shapes are fixed, it is encoded again for each of them.
        repeated = missing if self.layout.fixed_length else 0
        encoded = _repeat_first(texts, repeated)
        skipped = np.tile(np.array(left_out + left_out[:1] * repeated), len(rows))
        flat = encoded.reshape(-1)
        lengths = dataset.store.lengths(flat)
        chunks = self._cut(lengths, encoded.shape[1])
        rectangles, places, start = [], np.zeros(len(flat), dtype="int32"), 0
        for chunk in chunks:
            rectangles.append(self._rectangle(dataset.store, flat[chunk], skipped[chunk]))
            places[chunk] = start + np.arange(len(chunk))
            start += len(rectangles[-1][0])
        places = _repeat_first(places.reshape(encoded.shape), missing - repeated)
        made: dict[str, Any] = {
            "chunks": tuple(rectangles),
            "places": places.reshape(-1),
            "keys": _widen(dataset.keys[rows], self.num_columns),
            "judged": _widen(dataset.judged[rows], self.num_judged),
            "source": np.int32(source),
        }
        if self.num_labels:
            made["labels"] = _widen(_labels(dataset, rows), self.num_labels)
        if self.guide_dim:
            guide = (
                np.zeros((len(rows), dataset.num_columns, 0), "float32")
                if dataset.guide is None
                else dataset.guide[texts]
            )
            wide = np.zeros((len(rows), self.num_columns, self.guide_dim), "float32")
            wide[:, : guide.shape[1], : guide.shape[2]] = guide
            made["guide"] = wide
        return made

    def signature(self) -> dict[str, Any]:
        """The `tf.TensorSpec` of each tensor."""
        import tensorflow as tf

        length = self.layout.fixed_length
        rows = self.rows
        texts = rows * self.num_columns if rows else None
        rectangle = tf.TensorSpec([texts, length], tf.int32)
        signature = {
            "chunks": tuple((rectangle, rectangle) for _ in range(self._num_chunks)),
            "places": tf.TensorSpec([texts], tf.int32),
            "keys": tf.TensorSpec([rows, self.num_columns], tf.int64),
            "judged": tf.TensorSpec([rows, self.num_judged], tf.int64),
            "source": tf.TensorSpec([], tf.int32),
        }
        if self.num_labels:
            signature["labels"] = tf.TensorSpec([rows, self.num_labels], tf.float32)
        if self.guide_dim:
            signature["guide"] = tf.TensorSpec([rows, self.num_columns, self.guide_dim], tf.float32)
        return signature

    @property
    def _num_chunks(self) -> int:
        return 1 if self.layout.fixed_length else self.layout.groups or self.num_columns

    def _cut(self, lengths: np.ndarray, num_columns: int) -> list[np.ndarray]:
        """Which texts go into which rectangle."""
        if self.layout.fixed_length:
            return [np.arange(len(lengths))]
        if not self.layout.groups:
            chunks = [np.arange(column, len(lengths), num_columns) for column in range(num_columns)]
        else:
            order = np.argsort(-lengths, kind="stable")
            chunks = np.split(order, cut_by_length(lengths[order], self.layout.groups))
        return chunks + [np.zeros(0, dtype="int64")] * (self._num_chunks - len(chunks))

    def _rectangle(self, store: TokenStore, texts: np.ndarray, skipped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(texts):  # a text of one padding token: some layers fail without any text
            return np.full((1, 1), self.layout.pad_token_id, "int32"), np.ones((1, 1), "int32")
        token_ids, padding_mask = store.pad(texts, pad_id=self.layout.pad_token_id, length=self.layout.fixed_length)
        if skipped.any():
            left_out = np.arange(token_ids.shape[1])[None, :] < skipped[:, None]
            padding_mask[left_out & (padding_mask == 1)] = 2
        return token_ids, padding_mask


def cut_by_length(lengths: np.ndarray, groups: int) -> np.ndarray:
    """Finds where to split texts so that the rectangles around the parts hold the fewest tokens.

    Args:
        lengths: Tokens of each text, longest first.
        groups: The largest number of parts.

    Returns:
        Up to `groups - 1` positions, in ascending order.

    Example:
        >>> cut_by_length(np.array([9, 9, 2, 2, 2]), 2)
        array([2])
    """
    count = len(lengths)
    bounds = np.unique(np.linspace(0, count, min(count, GROUP_CANDIDATES) + 1).astype("int64"))
    tokens = (bounds[None, :] - bounds[:, None]) * np.append(lengths[bounds[:-1]], 0)[:, None]  # from bound i to j
    tokens = np.where(bounds[None, :] > bounds[:, None], tokens, np.iinfo("int64").max // 4)
    best, choices = tokens[0], []
    for _ in range(min(groups, len(bounds) - 1) - 1):
        through = best[:, None] + tokens  # the last part goes from bound i to bound j
        choices.append(through.argmin(axis=0))
        best = through.min(axis=0)
    place, cuts = len(bounds) - 1, []
    for choice in reversed(choices):
        place = int(choice[place])
        cuts.append(int(bounds[place]))
    return np.array(cuts[::-1], dtype="int64")


def _labels(dataset: TrainingSet, rows: np.ndarray) -> np.ndarray:
    return np.zeros((len(rows), 0), dtype="float32") if dataset.labels is None else dataset.labels[rows]


def _repeat_first(values: np.ndarray, times: int) -> np.ndarray:
    """Appends the first column this many times."""
    return np.concatenate([values, np.repeat(values[:, :1], times, axis=1)], axis=1)


def _widen(values: np.ndarray, width: int) -> np.ndarray:
    """Appends columns of 0 up to a width."""
    return np.pad(values, [(0, 0), (0, width - values.shape[1])])
