"""Batches of sources and targets of similar length, by rows or by tokens, each made from its step number alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint

PREFETCHED = 4
NO_LABEL = -1  # marks the padding of labels: no token has this id


@dataclass(frozen=True)
class TokenRows:
    """Sources and targets as token ids.

    Args:
        sources: The encoder's token ids of each row, the end included.
        targets: The token ids to learn of each row, the end included, without the decoder's start.
    """

    sources: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.sources)

    def lengths(self) -> np.ndarray:
        """Returns the tokens of source and target of each row, int64 `(rows, 2)`."""
        return np.array(
            [(len(source), len(target)) for source, target in zip(self.sources, self.targets, strict=True)]
        ).reshape(-1, 2)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all rows, for checkpoints and searches of hyperparameters."""
        joined = {"sources": self.sources, "targets": self.targets}
        arrays = [
            (name, np.concatenate([np.asarray(part, np.int32) for part in parts])) for name, parts in joined.items()
        ]
        return make_fingerprint({"rows": len(self)}, [*arrays, ("lengths", self.lengths())])


def plan_token_epoch(
    lengths: np.ndarray,
    *,
    batch_size: int,
    batch_tokens: int | None = None,
    by_length: bool = True,
    seed: int = 0,
    epoch: int = 0,
) -> list[np.ndarray]:
    """Distributes rows over batches. The same arguments give the same plan on every machine.

    By length, rows are shuffled, sorted by the length of target and source, cut into batches, and the batches
    shuffled: rows of one length meet others in each epoch, and little is padding. All epochs have as many batches.

    Args:
        lengths: Tokens of source and target of each row, `(rows, 2)`.
        batch_size: Rows of a batch, where `batch_tokens` is not given.
        batch_tokens: The most tokens of a batch's sources, and of its targets, padding included; a row that is longer
            is a batch of its own. Default: none, batches have `batch_size` rows.
        by_length: Whether rows of similar length stand together. Default: True.
        seed: The seed of the whole training. Default: 0.
        epoch: The epoch, from 0. Default: 0.

    Returns:
        The rows of each batch, int64; every row once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    if by_length:
        order = order[np.lexsort((lengths[order, 0], lengths[order, 1]))]
    if batch_tokens is None:
        plan = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    else:
        plan = _fill(order, lengths.max(axis=1), batch_tokens)
    return [plan[number] for number in rng.permutation(len(plan))] if by_length else plan


def _fill(order: np.ndarray, longest: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Cuts rows, in their order, into batches of at most `batch_tokens` tokens, padding included."""
    plan: list[np.ndarray] = []
    start, width = 0, 0
    for place, row in enumerate(order):
        widened = max(width, int(longest[row]))
        if place > start and widened * (place + 1 - start) > batch_tokens:
            plan.append(order[start:place])
            start, widened = place, int(longest[row])
        width = widened
    plan.append(order[start:])
    return plan


class TokenBatches:
    """Makes each batch of a training from its step number alone, the same on every machine.

    A batch is a dict: `token_ids` and `padding_mask`, int32 `(rows, source length)`; `target_ids`, the start
    and the targets but their last token, and `labels`, the targets, int32 `(rows, target length)`, `NO_LABEL` where
    there is none; `num_tokens`, the labels of the batch over all replicas.

    Args:
        rows: The rows.
        batch_size: As in `plan_token_epoch`, as are batch_tokens, by_length and seed.
        start_token_id: The decoder's first token.
        pad_token_id: Pads sources and decoder inputs.
        num_replicas: Number of replicas that share a batch. Default: 1.

    Raises:
        InputError: if there are no rows, or a batch could have fewer rows than there are replicas.
    """

    def __init__(
        self,
        rows: TokenRows,
        *,
        batch_size: int,
        start_token_id: int,
        pad_token_id: int,
        batch_tokens: int | None = None,
        by_length: bool = True,
        seed: int = 0,
        num_replicas: int = 1,
    ) -> None:
        if batch_tokens is not None:
            check_whole_number("batch_tokens", batch_tokens, advice="4096 is usual.")
        if len(rows) < num_replicas or batch_size < num_replicas:
            raise InputError(
                f"There must be a row for each of {num_replicas} replica(s) in a batch. Received: {len(rows)} rows, "
                f"batch_size={batch_size}. Give more rows, or train on fewer devices."
            )
        self.rows = rows
        self.start_token_id = start_token_id
        self.pad_token_id = pad_token_id
        self.num_replicas = num_replicas
        self._lengths = rows.lengths()
        self._options: dict[str, Any] = {
            "batch_size": batch_size,
            "batch_tokens": batch_tokens,
            "by_length": by_length,
            "seed": seed,
        }
        self._plans: dict[int, list[np.ndarray]] = {}
        self.steps_per_epoch = len(self.plan(0))

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Returns the rows of each batch of an epoch."""
        if epoch not in self._plans:
            while len(self._plans) > 1:
                del self._plans[min(self._plans)]
            self._plans[epoch] = plan_token_epoch(self._lengths, **self._options, epoch=epoch)
        return self._plans[epoch]

    def make(self, step: int, replica: int = 0) -> dict[str, Any]:
        """Makes the tensors of one replica's rows of a step.

        A replica without a row, in a batch of fewer rows than replicas, gets the first one, without labels.

        Args:
            step: The step, counted from the start of the training.
            replica: The replica's number. Default: 0.
        """
        epoch, number = divmod(step, self.steps_per_epoch)
        batch = self.plan(epoch)[number]
        own = batch[replica :: self.num_replicas]
        targets = [self.rows.targets[row] for row in own] or [np.zeros(0, np.int32)]
        sources = [self.rows.sources[row] for row in (own if len(own) else batch[:1])]
        labels = pad_rows(targets, NO_LABEL)
        token_ids = pad_rows(sources, self.pad_token_id)
        counts = np.array([len(source) for source in sources])[:, None]
        start = np.full((len(labels), 1), self.start_token_id, np.int32)
        shifted = np.concatenate([start, np.where(labels == NO_LABEL, self.pad_token_id, labels)[:, :-1]], axis=1)
        return {
            "token_ids": token_ids,
            "padding_mask": (np.arange(token_ids.shape[1]) < counts).astype(np.int32),
            "target_ids": shifted.astype(np.int32),
            "labels": labels,
            "num_tokens": np.float32(self._lengths[batch, 1].sum()),
        }

    def dataset(self, first_step: int = 0, replicas: Sequence[int] = (0,)) -> Any:
        """Returns the batches from a step on, as a `tf.data.Dataset` without end.

        Args:
            first_step: The step, counted from the start of the training. Default: 0.
            replicas: Numbers of the replicas to feed: each step has an element for each, in turn. Default: the first.
        """
        import tensorflow as tf

        names = ("token_ids", "padding_mask", "target_ids", "labels", "num_tokens")
        types = [tf.int32] * 4 + [tf.float32]

        def make(number: Any) -> Any:
            step, place = divmod(int(number), len(replicas))
            batch = self.make(step, replicas[place])
            return [batch[name] for name in names]

        def to_batch(number: Any) -> dict[str, Any]:
            values = tf.numpy_function(make, [number], types)
            for value in values[:4]:
                value.set_shape([None, None])
            values[4].set_shape([])
            return dict(zip(names, values, strict=True))

        numbers = tf.data.Dataset.counter(np.int64(first_step * len(replicas)))
        options = tf.data.Options()
        options.threading.private_threadpool_size = 1  # one thread is enough, and keeps the order
        return numbers.map(to_batch).prefetch(PREFETCHED).with_options(options)


def pad_rows(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """Returns rows of whole numbers as an array, int32 `(rows, longest)`, of at least one column."""
    padded = np.full((len(rows), max(1, *map(len, rows)) if rows else 1), value, np.int32)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
