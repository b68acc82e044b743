"""Training data larger than memory: TFRecord or Parquet shards, dealt to workers and shuffled while reading."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.atomic import new_folder, write_json
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.documents.beir import BeirDataset
from tfchain.data.documents.judged import is_judged_folder
from tfchain.data.files.paths import to_path
from tfchain.data.files.place import Block, places_from
from tfchain.data.files.tables import BLOCK_ROWS
from tfchain.data.pairs.columns import ColumnReader, standard_names
from tfchain.data.pairs.reading import Pairs, read_pairs
from tfchain.data.pairs.rows import Row, check_blocks, read_rows, shuffle, split_rows
from tfchain.data.pairs.sources import is_tfrecord, read_blocks, read_file
from tfchain.data.shards.files import COUNTS_FORMAT, COUNTS_NAME, Paths, count_file_rows, deal_files, list_files

Uneven = Literal["error", "drop"]


@dataclass(frozen=True)
class ShardLayout:
    """The layout of every row of a sharded dataset.

    Args:
        columns: The names of the texts: query, positive, negative_1, …; sentence1 and sentence2; or text.
        num_labels: The number of labels of a row; 0 if there are none.
        symmetric: Whether the texts are neither queries nor documents.
    """

    columns: tuple[str, ...]
    num_labels: int
    symmetric: bool


class PairShards:
    """Training rows from many files, read on demand.

    Args:
        paths: A folder of .parquet or .tfrecord files, a file, or a list of files. The same on every worker.
        shuffle_rows: The size of the shuffle buffer, in rows; 1 keeps the order of a file. Default: 10,000.
        uneven: What to do if some workers' files have more rows than others'. `error`: refuse. `drop`: every worker
            ends the epoch after as many rows as the worker with the fewest has. Default: `error`, since a worker that
            continues alone waits forever.
    """

    def __init__(self, paths: Paths, *, shuffle_rows: int = 10_000, uneven: Uneven = "error") -> None:
        check_whole_number("shuffle_rows", shuffle_rows)
        if uneven not in get_args(Uneven):
            raise InputError(f"`uneven` must be one of {', '.join(get_args(Uneven))}. Received: uneven={uneven!r}.")
        self.paths = paths
        self.shuffle_rows = shuffle_rows
        self.uneven = uneven
        self._counted: tuple[list[Path], list[int] | None] | None = None

    def layout(self) -> ShardLayout:
        """Returns the layout of the rows, from the first block of rows."""
        return self._open()[1]

    def count_rows(self, *, num_workers: int = 1, seed: int = 0, epoch: int = 0) -> int | None:
        """Returns how many rows each worker reads in an epoch; `None` if the files do not say.

        Parquet files store their number of rows, and `write_tfrecords` stores it beside TFRecords.

        Raises:
            InputError: as `iterate` does.
        """
        counts = self._check(num_workers)
        if counts is None:
            return None
        deals = [deal_files(counts, len(counts), seed, epoch, worker, num_workers) for worker in range(num_workers)]
        return min(sum(counts[number] for number in deal) for deal in deals)

    def iterate(self, *, seed: int, epoch: int, worker: int = 0, num_workers: int = 1) -> Iterator[Row]:
        """Reads one worker's rows of one epoch; the same arguments give the same rows in the same order.

        Args:
            seed: The seed of the whole training, the same on all workers.
            epoch: The epoch, from 0. Files are dealt again in each epoch.
            worker: This worker's number, from 0. Default: 0.
            num_workers: The number of workers; each file goes to one of them. Default: 1.

        Returns:
            An iterator of rows: dicts of the texts by the names in `layout().columns`, with `labels`, a tuple of
            numbers, if there are labels.

        Raises:
            InputError: at once if a file is missing, or the files or their rows cannot be dealt evenly; while reading
                if a file is broken, or differs from the first in its columns or its number of negatives.
        """
        check_whole_number("seed", seed, least=0)
        check_whole_number("epoch", epoch, least=0)
        check_whole_number("worker", worker, least=0)
        counts = self._check(num_workers)
        if worker >= num_workers:
            raise InputError(f"`worker` must be below `num_workers`, {num_workers}. Received: worker={worker}.")
        files, _ = self._count()
        mine = [files[number] for number in deal_files(counts, len(files), seed, epoch, worker, num_workers)]
        reader, _ = self._open()
        rows = shuffle(read_rows(mine, reader), self.shuffle_rows, np.random.default_rng([seed, epoch, worker, 1]))
        limit = self.count_rows(num_workers=num_workers, seed=seed, epoch=epoch) if num_workers > 1 else None
        return itertools.islice(rows, limit)

    def _open(self) -> tuple[ColumnReader, ShardLayout]:
        """Reads the first block, the same on every worker: it decides which columns are expected."""
        files, _ = self._count()
        reader, rows = next(check_blocks(itertools.chain.from_iterable(read_file(file) for file in files)))
        names = standard_names(len(rows.texts), symmetric=reader.layout.symmetric)
        num_labels = 0 if rows.labels is None else rows.labels.shape[1]
        return reader, ShardLayout(names, num_labels, reader.layout.symmetric)

    def _count(self) -> tuple[list[Path], list[int] | None]:
        """Returns the files, and how many rows each has; `None` if that is unknown."""
        if self._counted is None:
            files = list_files(self.paths)
            counts = [count_file_rows(file) for file in files]
            known = [count for count in counts if count is not None]
            self._counted = files, known if len(known) == len(files) else None
        return self._counted

    def _check(self, num_workers: int) -> list[int] | None:
        """Returns the files' row counts if known; raises an InputError if the files cannot be dealt evenly."""
        check_whole_number("num_workers", num_workers)
        files, counts = self._count()
        if len(files) % num_workers:
            raise InputError(
                f"Unequal shards: {len(files)} files cannot be dealt evenly to {num_workers} workers. Expected a "
                f"multiple of {num_workers}. Write the rows again with `write_tfrecords(…, shards={num_workers})`, or "
                "a multiple of it."
            )
        if counts is None and self.uneven == "drop" and num_workers > 1:
            raise InputError(
                "uneven='drop' needs the number of rows of each file. Received: TFRecord files without it. Write them "
                "with `write_tfrecords`, or use Parquet."
            )
        ranked = sorted(counts or (), reverse=True)
        groups = [ranked[start : start + num_workers] for start in range(0, len(ranked), num_workers)]
        if self.uneven == "error" and any(group[0] != group[-1] for group in groups):
            sizes = ", ".join(f"{size} rows in {number} of them" for size, number in sorted(Counter(ranked).items()))
            raise InputError(
                f"Unequal shards: {len(files)} files for {num_workers} workers, {sizes}: one worker would end before "
                "another. Expected the same number of rows for each. Write files of equal size, or use uneven='drop' "
                "to leave out the surplus rows."
            )
        return counts


def write_tfrecords(dataset: Any, path: Path | str, *, shards: int) -> list[Path]:
    """Writes training rows as TFRecords, one row at a time, so that they need not fit into memory.

    Each row is a `tf.train.Example` with a bytes list for each text (`query`, `positive`, `negative_1`, …) and a float
    list `labels` if there are labels. Rows go to the files in turn, so that the files differ by at most one row.

    Args:
        dataset: Any dataset that `read_pairs` takes. Judgments of a BEIR folder are not written.
        path: The folder to make; it appears when everything is written. It must not exist, or must be empty.
        shards: The number of files: a multiple of the number of workers that will read them.

    Returns:
        The files.

    Raises:
        InputError: as `read_pairs` does.
        FileExistsError: if `path` is a file or a folder that is not empty.
    """
    import tensorflow as tf

    check_whole_number("shards", shards)
    path = to_path(path)
    names = [f"pairs-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    total = 0
    with new_folder(path) as folder:
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(tf.io.TFRecordWriter(str(folder / name))) for name in names]
            for reader, rows in check_blocks(dataset_blocks(dataset)):
                for row in split_rows(rows, symmetric=reader.layout.symmetric):
                    writers[total % shards].write(to_example(row).SerializeToString(deterministic=True))
                    total += 1
        if total < shards:
            raise InputError(f"Expected at least one row per file. Received: {total} rows for shards={shards}.")
        counts = {name: total // shards + (number < total % shards) for number, name in enumerate(names)}
        write_json(folder / COUNTS_NAME, {"format": COUNTS_FORMAT, "rows": counts})
    return [path / name for name in names]


def read_tfrecord_pairs(paths: Paths) -> Iterator[Row]:
    """Reads the rows of TFRecord files in order, in bounded memory; `read_pairs` accepts the result.

    Args:
        paths: A folder, a file, or a list of files, such as `write_tfrecords` makes.

    Yields:
        Rows, as `PairShards.iterate` returns them.

    Raises:
        InputError: if a file is missing, broken or not a TFRecord file, or rows differ in their columns.
    """
    files = list_files(paths)
    others = [file for file in files if not is_tfrecord(file)]
    if others:
        raise InputError(f"Expected files that end in .tfrecord or .tfrecord.gz. Received: {others[0]}.")
    yield from read_rows(files)


def dataset_blocks(dataset: Any) -> Iterator[Block]:
    """Reads rows from any source as blocks; reads only BEIR folders into memory."""
    if isinstance(dataset, BeirDataset) or (isinstance(dataset, str | os.PathLike) and is_judged_folder(str(dataset))):
        dataset = read_pairs(dataset)
    if not isinstance(dataset, Pairs):
        yield from read_blocks(dataset)
        return
    names = standard_names(dataset.num_columns, symmetric=dataset.symmetric)
    for start in range(0, len(dataset), BLOCK_ROWS):
        columns: list[Any] = [column[start : start + BLOCK_ROWS] for column in dataset.columns]
        if dataset.labels is not None:
            columns.append(dataset.labels[start : start + BLOCK_ROWS].tolist())
        found = names if dataset.labels is None else (*names, "labels")
        yield Block(found, columns, places_from("dataset[", start, "]"))


def to_example(row: Row) -> Any:
    """Returns a row as a `tf.train.Example`."""
    import tensorflow as tf

    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=value))
        if name == "labels"
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in row.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features))
