"""From rows of texts to the tensors of a step: which rows, whose replica, and how their texts are laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Batches
from tfchain.data.samplers import Mixing, mix_plans, plan_epoch
from tfchain.data.token_store import TokenStore

GROUP_CANDIDATES = 32
PREFETCHED = 4


@dataclass(frozen=True)
class TrainingSet:
    """One dataset, ready for batches.

    Args:
        store: The token ids of its texts.
        keys: int64 `(rows, columns)`, what tells texts apart.
        judged: int64 `(rows, most)`, keys of the documents judged relevant, filled up with 0.
        labels: float32 `(rows, k)`, or None.
        guide: float32 `(texts of the store, dim)`: a guide model's vectors, or None.
        skipped: First tokens of each column's texts that pooling leaves out (prompts).
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
        groups: Into how many rectangles the texts are cut by length, so that little is padding; 0 makes one of each
            column, as sentence-transformers does. Default: 4.
        fixed_length: All texts are padded to it, in one rectangle: for TPUs and XLA. Default: none.
        pad_token_id: Fills up. Default: 0.
    """

    groups: int = 4
    fixed_length: int | None = None
    pad_token_id: int = 0


class BatchMaker:
    """Makes every batch of a training anew from its step's number, the same on every machine.

    Args:
        sets: The datasets.
        batch_size: Rows of a global batch.
        batches: How rows are put together; see `Hyperparameters`.
        seed: Of the order.
        num_replicas: How many replicas share a global batch. Default: 1.
        layout: How texts become tensors.
        drop_remainder: Whether an epoch's last, shorter batch is left out. Default: False.
        mixing: `round_robin` or `proportional`, of several datasets. Default: `round_robin`.

    Raises:
        InputError: if a batch would be smaller than the number of replicas or could not be shared where shapes are
            fixed, or an epoch has no batch.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        *,
        batch_size: int,
        batches: Batches = "no_duplicates",
        seed: int = 0,
        num_replicas: int = 1,
        layout: Layout | None = None,
        drop_remainder: bool = False,
        mixing: Mixing = "round_robin",
    ) -> None:
        if batch_size < num_replicas:
            raise InputError(
                f"`batch_size` is the global one and must be at least the number of replicas ({num_replicas}). "
                f"Received: batch_size={batch_size}. Raise it, or train on fewer devices."
            )
        if layout is not None and layout.fixed_length and drop_remainder and batch_size % num_replicas:
            raise InputError(
                f"Where shapes are fixed (TPU, XLA), `batch_size` must be a multiple of the number of replicas "
                f"({num_replicas}). Received: batch_size={batch_size}."
            )
        self.sets = list(sets)
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.num_replicas = num_replicas
        self.layout = layout or Layout()
        self.drop_remainder = drop_remainder
        self.mixing = mixing
        self.num_columns = max(one.num_columns for one in self.sets)
        self.num_judged = max(one.judged.shape[1] for one in self.sets)
        self.num_labels = max(0 if one.labels is None else one.labels.shape[1] for one in self.sets)
        self.guide_dim = max(0 if one.guide is None else one.guide.shape[1] for one in self.sets)
        self._plans: dict[int, list[tuple[int, np.ndarray]]] = {}
        self.steps_per_epoch = len(self.plan(0))
        if not self.steps_per_epoch:
            raise InputError(
                f"An epoch has no batch: {sum(map(len, self.sets))} rows, batch_size={batch_size}, "
                f"drop_remainder={drop_remainder}, {num_replicas} replicas. Give more rows or a smaller batch."
            )

    def plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """Dataset's number and rows of each batch of an epoch."""
        if epoch not in self._plans:
            of_sets = [
                plan_epoch(
                    len(one),
                    self.batch_size,
                    batches=self.batches,
                    seed=self.seed + number,
                    epoch=epoch,
                    keys=one.keys,
                    lengths=one.store.lengths(one.store.rows).sum(axis=1),
                    drop_remainder=self.drop_remainder,
                )
                for number, one in enumerate(self.sets)
            ]
            # A batch with fewer rows than replicas would leave one without work, on every machine alike.
            of_sets = [[rows for rows in plan if len(rows) >= self.num_replicas] for plan in of_sets]
            if len(self.sets) == 1:
                plan = [(0, rows) for rows in of_sets[0]]
            else:
                parts = [iter(one) for one in of_sets]
                order = mix_plans([len(one) for one in of_sets], mixing=self.mixing, seed=self.seed, epoch=epoch)
                plan = [(number, next(parts[number])) for number in order]
            while len(self._plans) > 1:
                del self._plans[min(self._plans)]
            self._plans[epoch] = plan[: getattr(self, "steps_per_epoch", len(plan))]
        return self._plans[epoch]

    def make(self, step: int, replica: int) -> dict[str, Any]:
        """One replica's rows of a step.

        Args:
            step: Counted from the training's beginning.
            replica: The replica's number.

        Returns:
            `chunks`: rectangles of `(token_ids, padding_mask)`, int32, longest texts first; `places`: where in them the
            text of each row and column is, row after row; `keys`, `judged`, `labels`, `guide` `(rows, …)`; `source`.
        """
        epoch, number = divmod(step, self.steps_per_epoch)
        plan = self.plan(epoch)
        source, rows = plan[number % len(plan)]
        rows = np.array_split(rows, self.num_replicas)[replica]
        return self.lay_out(source, rows)

    def lay_out(self, source: int, rows: np.ndarray) -> dict[str, Any]:
        """The tensors of some rows of a dataset, as `make` gives them."""
        one = self.sets[source]
        texts = one.store.rows[rows]  # (rows, columns)
        missing = self.num_columns - one.num_columns
        left_out = [*(one.skipped or [0] * one.num_columns)]
        # Where another dataset has more columns, the query stands in for them: it is encoded anyway, no loss looks.
        # Where shapes are fixed, it is encoded again for each of them.
        repeated = missing if self.layout.fixed_length else 0
        encoded = _repeat_first(texts, repeated)
        skipped = np.tile(np.array(left_out + left_out[:1] * repeated), len(rows))
        flat = encoded.reshape(-1)
        lengths = one.store.lengths(flat)
        chunks = self._cut(lengths, encoded.shape[1])
        rectangles, places, start = [], np.zeros(len(flat), dtype="int32"), 0
        for chunk in chunks:
            rectangles.append(self._rectangle(one.store, flat[chunk], skipped[chunk]))
            places[chunk] = start + np.arange(len(chunk))
            start += len(rectangles[-1][0])
        places = _repeat_first(places.reshape(encoded.shape), missing - repeated)
        made: dict[str, Any] = {
            "chunks": tuple(rectangles),
            "places": places.reshape(-1),
            "keys": _widen(one.keys[rows], self.num_columns),
            "judged": _widen(one.judged[rows], self.num_judged),
            "source": np.int32(source),
        }
        if self.num_labels:
            made["labels"] = _widen(_labels(one, rows), self.num_labels)
        if self.guide_dim:
            guide = np.zeros((len(rows), one.num_columns, 0), "float32") if one.guide is None else one.guide[texts]
            wide = np.zeros((len(rows), self.num_columns, self.guide_dim), "float32")
            wide[:, : guide.shape[1], : guide.shape[2]] = guide
            made["guide"] = wide
        return made

    def dataset(self, first_step: int = 0, replicas: Sequence[int] = (0,)) -> Any:
        """The batches from a step on, without end, as a `tf.data.Dataset`.

        Args:
            first_step: Counted from the training's beginning. Default: 0.
            replicas: Numbers of the replicas that are fed: one element a step for each, in turn. Default: the first.
        """
        import tensorflow as tf

        signature = self._signature()
        types = tf.nest.map_structure(lambda spec: spec.dtype, tf.nest.flatten(signature))

        def make(number: Any) -> Any:
            step, place = divmod(int(number), len(replicas))
            return tf.nest.flatten(self.make(step, replicas[place]))

        def to_batch(number: Any) -> Any:
            flat = tf.numpy_function(make, [number], types)
            for tensor, spec in zip(flat, tf.nest.flatten(signature), strict=True):
                tensor.set_shape(spec.shape)
            return tf.nest.pack_sequence_as(signature, flat)

        numbers = tf.data.Dataset.counter(np.int64(first_step * len(replicas)))
        # Texts and numbers of NumPy: one thread is enough, and the order stays.
        return numbers.map(to_batch).prefetch(PREFETCHED)

    def _signature(self) -> dict[str, Any]:
        import tensorflow as tf

        length = self.layout.fixed_length
        rows = self.batch_size // self.num_replicas if length and self.drop_remainder else None
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
        if not len(texts):  # a text of one token of padding: some layers fail on none at all
            return np.full((1, 1), self.layout.pad_token_id, "int32"), np.ones((1, 1), "int32")
        token_ids, padding_mask = store.pad(texts, pad_id=self.layout.pad_token_id, length=self.layout.fixed_length)
        if skipped.any():
            left_out = np.arange(token_ids.shape[1])[None, :] < skipped[:, None]
            padding_mask[left_out & (padding_mask == 1)] = 2
        return token_ids, padding_mask


def cut_by_length(lengths: np.ndarray, groups: int) -> np.ndarray:
    """Where to cut texts so that the rectangles around the parts hold the fewest tokens.

    Args:
        lengths: Tokens of each text, longest first.
        groups: How many parts at most.

    Returns:
        Up to `groups - 1` places, rising.

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


def _labels(one: TrainingSet, rows: np.ndarray) -> np.ndarray:
    return np.zeros((len(rows), 0), dtype="float32") if one.labels is None else one.labels[rows]


def _repeat_first(values: np.ndarray, times: int) -> np.ndarray:
    """Adds the first column behind the others, some times."""
    return np.concatenate([values, np.repeat(values[:, :1], times, axis=1)], axis=1)


def _widen(values: np.ndarray, width: int) -> np.ndarray:
    """Adds columns of 0 up to a width."""
    return np.pad(values, [(0, 0), (0, width - values.shape[1])])
