"""Turns rows of texts into the tensors of a step: chooses the rows of each replica and lays out their texts."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Batches
from tfchain.data.pairs.samplers import Mixing, mix_plans, plan_epoch
from tfchain.training.batches.layout import BatchLayout, Layout, TrainingSet

logger = logging.getLogger(__name__)

PREFETCHED = 4

Augment = Callable[[int, int, np.ndarray], TrainingSet]
"""From a dataset's number, the epoch and some rows to a training set of these rows alone, augmented."""


class BatchMaker:
    """Makes each batch of a training from its step number alone, the same on every machine.

    Args:
        sets: The datasets.
        batch_size: Rows of a global batch.
        batches: How rows are combined into batches; see `Hyperparameters`.
        seed: Seed of the order.
        num_replicas: Number of replicas that share a global batch. Default: 1.
        layout: How texts become tensors.
        drop_remainder: Whether an epoch's last, shorter batch is left out. Default: False.
        mixing: `round_robin` or `proportional`, for several datasets. Default: `round_robin`.
        steps_per_epoch: Batches of an epoch; fewer than the rows make leave rows out, more repeat some.
            Default: as many as the rows make.
        augment: Makes the rows of a batch anew in each epoch. Default: rows are the same in each epoch.

    Raises:
        InputError: if a batch would be smaller than the number of replicas, or could not be shared evenly although
            shapes are fixed, or an epoch has no batch.
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
        steps_per_epoch: int | None = None,
        augment: Augment | None = None,
    ) -> None:
        if batch_size < num_replicas:
            raise InputError(
                f"`batch_size` is global and must be at least the number of replicas ({num_replicas}). "
                f"Received: batch_size={batch_size}. Raise it, or train on fewer devices."
            )
        if layout is not None and layout.fixed_length and drop_remainder and batch_size % num_replicas:
            raise InputError(
                f"If shapes are fixed (TPU, XLA), `batch_size` must be a multiple of the number of replicas "
                f"({num_replicas}). Received: batch_size={batch_size}."
            )
        self.sets = list(sets)
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.num_replicas = num_replicas
        self.drop_remainder = drop_remainder
        self.mixing = mixing
        self.augment = augment
        rows = batch_size // num_replicas if drop_remainder else None
        self.layout = BatchLayout(self.sets, layout or Layout(), rows=rows)
        self._held: int | None = None
        self._turn = threading.Condition()
        self._plans: dict[int, list[tuple[int, np.ndarray]]] = {}
        self.steps_per_epoch = len(self.plan(0)) if steps_per_epoch is None else steps_per_epoch
        if not self.steps_per_epoch:
            raise InputError(
                f"An epoch has no batch: {sum(map(len, self.sets))} rows, batch_size={batch_size}, "
                f"drop_remainder={drop_remainder}, {num_replicas} replicas. Give more rows or a smaller batch."
            )

    def plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The dataset's number and the rows of each batch of an epoch."""
        if epoch not in self._plans:
            of_sets = [
                plan_epoch(
                    len(dataset),
                    self.batch_size,
                    batches=self.batches,
                    seed=self.seed + number,
                    epoch=epoch,
                    keys=dataset.keys,
                    lengths=dataset.store.lengths(dataset.store.rows).sum(axis=1),
                    drop_remainder=self.drop_remainder,
                )
                for number, dataset in enumerate(self.sets)
            ]
            # A batch with fewer rows than replicas would leave a replica without work; every machine drops it alike.
            of_sets = [[rows for rows in plan if len(rows) >= self.num_replicas] for plan in of_sets]
            if len(self.sets) == 1:
                plan = [(0, rows) for rows in of_sets[0]]
            else:
                parts = [iter(batches) for batches in of_sets]
                counts = [len(batches) for batches in of_sets]
                order = mix_plans(counts, mixing=self.mixing, seed=self.seed, epoch=epoch)
                plan = [(number, next(parts[number])) for number in order]
            while len(self._plans) > 1:
                del self._plans[min(self._plans)]
            self._plans[epoch] = plan
        return self._plans[epoch]

    def make(self, step: int, replica: int) -> dict[str, Any]:
        """Makes the tensors of one replica's rows of a step.

        Args:
            step: The step, counted from the start of the training.
            replica: The replica's number.

        Returns:
            What `BatchLayout.lay_out` returns.
        """
        epoch, number = divmod(step, self.steps_per_epoch)
        with self._turn:
            self._turn.wait_for(lambda: self._held is None or epoch < self._held)
        plan = self.plan(epoch)
        source, rows = plan[number % len(plan)]
        rows = np.array_split(rows, self.num_replicas)[replica]
        if self.augment is not None:
            return self.layout.lay_out(self.augment(source, epoch, rows), source, np.arange(len(rows)))
        return self.layout.lay_out(self.sets[source], source, rows)

    def hold(self, epoch: int | None) -> None:
        """Holds back the batches of this epoch and later ones until the next call; None holds back nothing."""
        with self._turn:
            self._held = epoch
            self._turn.notify_all()

    def replace(self, sets: Sequence[TrainingSet], epoch: int) -> None:
        """Replaces the rows of the datasets with others of as many texts and labels; an epoch keeps its steps.

        Call it while an epoch is held back.

        Args:
            sets: The new datasets.
            epoch: The epoch that is held back.

        Raises:
            InputError: if the rows make no batch.
        """
        with self._turn:
            self.sets = list(sets)
            self._plans.clear()
            num_batches = len(self.plan(epoch))
        if not num_batches:
            raise InputError(f"Epoch {epoch + 1} has no batch: {sum(map(len, self.sets))} rows are left.")
        if num_batches < self.steps_per_epoch:
            logger.info(
                "Epoch %d has rows for %d batches; the first ones are repeated, as each epoch has %d steps.",
                *(epoch + 1, num_batches, self.steps_per_epoch),
            )

    def dataset(self, first_step: int = 0, replicas: Sequence[int] = (0,)) -> Any:
        """The batches from a step on, as a `tf.data.Dataset` without end.

        Args:
            first_step: The step, counted from the start of the training. Default: 0.
            replicas: Numbers of the replicas to feed: each step has an element for each, in turn. Default: the first.
        """
        import tensorflow as tf

        signature = self.layout.signature()
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
        options = tf.data.Options()
        options.threading.private_threadpool_size = (
            2  # a batch that is held back must not take one of the step's threads
        )
        # NumPy on texts and numbers: one thread is enough, and it keeps the order.
        return numbers.map(to_batch).prefetch(PREFETCHED).with_options(options)
