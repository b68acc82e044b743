"""Batches of data larger than memory: rows are read, batched, tokenized and dropped as the steps need them."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.hyperparameters import Batches
from tfchain.data.pairs.reading import Pairs, text_keys
from tfchain.data.pairs.rows import Row
from tfchain.data.pairs.samplers import POOL_BATCHES, plan_epoch
from tfchain.data.shards.files import list_files
from tfchain.data.shards.pair_shards import PairShards, ShardLayout
from tfchain.data.shards.service import read_through_service
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.layout import BatchLayout, Layout, TrainingSet
from tfchain.training.batches.training_data import LossChoice, NamedPairs, log_default_loss, make_training_set
from tfchain.training.losses import default_loss, get_loss

logger = logging.getLogger(__name__)

EXAMPLE_ROWS = 1000  # a default loss is chosen by the labels of this many rows


class ShardBatchMaker:
    """Makes a worker's batches one after the other.

    Rows wait in a pool of 50 batches, where `batches` combines them by their texts and their length in characters;
    rows that do not fit into a full batch wait for the next pool. An epoch has full batches only, the same number on
    each worker; rows too few for another batch are left out.

    Args:
        shards: The rows.
        example: The first rows of all, and the loss.
        text_encoder: Supplies the tokenizer and the prompts.
        batch_size: Rows of a global batch.
        batches: How rows are combined into batches; see `Hyperparameters`.
        seed: Seed of the order.
        num_replicas: Number of replicas that share a global batch. Default: 1.
        num_workers: Number of machines that share the files. Default: 1.
        layout: How texts become tensors.
        service: The address of a `tf.data` service that reads the files; see `read_through_service`. Default: none.

    Attributes:
        error: The error that kept a batch from being made, or None.

    Raises:
        InputError: if the files or the batch cannot be divided evenly, or an epoch has no batch.
    """

    def __init__(
        self,
        shards: PairShards,
        example: NamedPairs,
        text_encoder: TextEncoder,
        *,
        batch_size: int,
        batches: Batches = "no_duplicates",
        seed: int = 0,
        num_replicas: int = 1,
        num_workers: int = 1,
        layout: Layout | None = None,
        service: str | None = None,
    ) -> None:
        if batch_size % num_replicas:
            raise InputError(
                f"`batch_size` is global; with PairShards it must be a multiple of the number of replicas "
                f"({num_replicas}). Received: batch_size={batch_size}."
            )
        self.shards = shards
        self.example = example
        self.text_encoder = text_encoder
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.num_replicas = num_replicas
        self.num_workers = num_workers
        self.error: Exception | None = None
        self._waiting: list[Row] = []
        self.rows_layout = shards.layout()
        self.service = None if service is None else read_through_service(shards, service, seed=seed)
        self.sets = [self._make_set(example.pairs)]
        self.layout = BatchLayout(self.sets, layout or Layout(), rows=batch_size // num_replicas)
        num_rows = self._count_rows()
        self.steps_per_epoch = num_rows // (batch_size // num_workers)
        if not self.steps_per_epoch:
            raise InputError(
                f"An epoch has no batch: {num_rows} rows on each of {num_workers} worker(s), batch_size="
                f"{batch_size}. Give more rows or a smaller batch."
            )

    def dataset(self, first_step: int = 0, replicas: Sequence[int] = (0,)) -> Any:
        """The batches from a step on, as a `tf.data.Dataset` without end.

        Args:
            first_step: The step, counted from the start of the training. Default: 0.
            replicas: Numbers of this worker's replicas: each step has an element for each, in turn. Default: the first.
        """
        import tensorflow as tf

        def make() -> Iterator[dict[str, Any]]:
            try:
                yield from self.make(first_step, replicas)
            except Exception as error:
                self.error = error
                raise

        # The prefetch runs a few batches ahead while the devices compute.
        return tf.data.Dataset.from_generator(make, output_signature=self.layout.signature()).prefetch(4)

    def make(self, first_step: int, replicas: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yields what `BatchLayout.lay_out` returns, for each step from the first on and each replica, without end."""
        epoch, skipped = divmod(first_step, self.steps_per_epoch)
        worker = replicas[0] // len(replicas)
        while True:
            for rows in itertools.islice(self._batches_of(epoch, worker), skipped, self.steps_per_epoch):
                training_set = self._make_set(to_pairs(rows, self.rows_layout))
                for part in np.array_split(np.arange(len(rows)), len(replicas)):
                    yield self.layout.lay_out(training_set, 0, part)
            epoch, skipped = epoch + 1, 0

    def hold(self, epoch: int | None) -> None:
        """Does nothing: rows of shards are not replaced."""

    def _batches_of(self, epoch: int, worker: int) -> Iterator[list[Row]]:
        """Yields the batches of an epoch, again and again if its files hold too few rows for all steps."""
        while True:
            batches = self._batches_once(epoch, worker)
            first = next(batches, None)
            if first is None:
                raise InputError(f"Worker {worker}'s files have fewer rows than a batch in epoch {epoch + 1}.")
            yield first
            yield from batches

    def _batches_once(self, epoch: int, worker: int) -> Iterator[list[Row]]:
        size = self.batch_size // self.num_workers
        rows = self._rows(epoch, worker)
        waiting, self._waiting = self._waiting, []
        for number in itertools.count():
            new = list(itertools.islice(rows, POOL_BATCHES * size - len(waiting)))
            pool = waiting + new
            plan = self._plan(pool, size, [epoch, number, worker])
            left = dict(enumerate(pool))
            for batch in plan:
                rows_of_batch = [left.pop(int(place)) for place in batch]
                if self.service is not None:  # its rows come once: what an epoch leaves goes to the next
                    self._waiting = list(left.values())
                yield rows_of_batch
            waiting = list(left.values())
            if not new:
                break
        # The masks still keep equal texts apart.
        yield from (waiting[start : start + size] for start in range(0, len(waiting) - size + 1, size))

    def _plan(self, pool: list[Row], size: int, numbers: list[int]) -> list[np.ndarray]:
        """Plans full batches of a pool's rows."""
        if len(pool) < size:
            return []
        columns = [[row[name] for row in pool] for name in self.rows_layout.columns]
        plan = plan_epoch(
            len(pool),
            size,
            batches=self.batches,
            seed=int(np.random.SeedSequence([self.seed, *numbers]).generate_state(1)[0]),
            keys=np.stack([text_keys(column) for column in columns], axis=1),
            lengths=np.array([sum(map(len, texts)) for texts in zip(*columns, strict=True)]),
        )
        full = [batch for batch in plan if len(batch) == size]
        # A pool of nothing but duplicates would wait forever.
        return full or [np.arange(start, start + size) for start in range(0, len(pool) - size + 1, size)]

    def _rows(self, epoch: int, worker: int) -> Iterator[Row]:
        if self.service is not None:
            return self.service
        return self.shards.iterate(seed=self.seed, epoch=epoch, worker=worker, num_workers=self.num_workers)

    def _count_rows(self) -> int:
        counted = self.shards.count_rows(num_workers=self.num_workers, seed=self.seed)
        if counted is not None:
            return counted
        if self.num_workers > 1:
            raise InputError(
                "Several workers need to know how many rows each file has. Received: TFRecord files that do not say. "
                "Write them with `write_tfrecords`, or use Parquet."
            )
        logger.info("The files do not say how many rows they have: they are read once to count.")
        return sum(1 for _ in self.shards.iterate(seed=self.seed, epoch=0))

    def _make_set(self, pairs: Pairs) -> TrainingSet:
        self.example.loss.check(pairs.num_columns, pairs.labels)
        named = NamedPairs(self.example.name, pairs, self.example.loss)
        return make_training_set(named, self.text_encoder, progress=False)


def read_example(shards: PairShards, loss: LossChoice = None) -> NamedPairs:
    """Reads the first rows of some shards, and chooses the loss for all.

    Args:
        shards: The rows.
        loss: A loss, its name, or a dict of `name` and its arguments. Default: chosen by the columns.

    Raises:
        InputError: if the rows cannot be read, or do not suit the loss; or if the loss needs a guide model.
    """
    layout = shards.layout()
    first = PairShards(shards.paths, shuffle_rows=1, uneven=shards.uneven).iterate(seed=0, epoch=0)
    pairs = to_pairs(list(itertools.islice(first, EXAMPLE_ROWS)), layout)
    chosen = default_loss(pairs.num_columns, pairs.labels) if loss is None else get_loss(loss)
    if loss is None:
        log_default_loss("dataset", pairs, chosen)
    chosen.check(pairs.num_columns, pairs.labels)
    if chosen.needs_guide:
        raise InputError(f"The loss `{chosen.name}` needs a guide model's vectors, which PairShards cannot have.")
    return NamedPairs("dataset", pairs, chosen)


def to_pairs(rows: Sequence[Row], layout: ShardLayout) -> Pairs:
    """Turns rows into columns."""
    labels = np.array([row["labels"] for row in rows], dtype="float32") if layout.num_labels else None
    return Pairs(tuple([row[name] for row in rows] for name in layout.columns), labels, symmetric=layout.symmetric)


def describe_shards(shards: PairShards) -> str:
    """A fingerprint of the files' names and sizes, and of how they are shuffled."""
    files = [[file.name, file.stat().st_size] for file in list_files(shards.paths)]
    return make_fingerprint({"files": files, "shuffle_rows": shards.shuffle_rows, "uneven": shards.uneven}, [])
