"""The files of a sharded dataset: lists them, counts their rows, and deals them to workers."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.lines import read_text
from tfchain.data.files.paths import check_name, to_path
from tfchain.data.files.records import record_ending
from tfchain.data.pairs.sources import find_files, is_tfrecord

COUNTS_NAME = "shards.json"  # beside TFRecords, which do not store their number of rows
COUNTS_FORMAT = 1

Paths = Path | str | Sequence[Path | str]


def list_files(paths: Paths) -> list[Path]:
    """Returns the files of a folder, sorted by name, or the given files, in their order.

    Raises:
        InputError: if there are no files, or a file is missing or of another kind.
    """
    files = find_files(to_path(paths)) if isinstance(paths, str | os.PathLike) else [to_path(path) for path in paths]
    if not files:
        raise InputError("`paths` must name at least one file. Received: none.")
    for file in files:
        if not is_tfrecord(file) and record_ending(file) != ".parquet":
            raise InputError(f"Expected files that end in .parquet, .tfrecord or .tfrecord.gz. Received: {file}.")
        if not file.is_file():
            raise InputError(f"No such file: {file}. Check the path (the current folder is {Path.cwd()}).")
    return files


def count_file_rows(file: Path) -> int | None:
    """Returns how many rows a file has, by its metadata or by the file of counts beside it; `None` if unknown.

    Raises:
        InputError: if the Parquet file or the file of counts is broken, or a newer tfchain wrote the latter.
    """
    if not is_tfrecord(file):
        import pyarrow
        from pyarrow import parquet

        check_name(file)
        try:
            return int(parquet.read_metadata(file).num_rows)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"Could not read {file} as Parquet: {str(error).splitlines()[0]}") from error
    beside = file.parent / COUNTS_NAME
    if not beside.is_file():
        return None
    text = read_text(beside)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    kind = found.get("format", COUNTS_FORMAT) if isinstance(found, dict) else None
    if isinstance(kind, int) and kind > COUNTS_FORMAT:
        raise InputError(
            f"{beside} has format {kind}, which a newer tfchain wrote. Expected: format {COUNTS_FORMAT}. Update "
            "tfchain, or write the rows again with `write_tfrecords`."
        )
    rows = found.get("rows") if isinstance(found, dict) else None
    count = rows.get(file.name) if isinstance(rows, dict) else -1
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InputError(
            f"{beside} does not say how many rows {file.name} has. Expected {{'rows': {{name: number}}}}. Received: "
            f"{text[:60]!r}. Delete it, or write the rows again with `write_tfrecords`."
        )
    return count


def deal_files(
    counts: list[int] | None, num_files: int, seed: int, epoch: int, worker: int, num_workers: int
) -> list[int]:
    """Returns the numbers of one worker's files, in the order in which it reads them.

    Files of similar size are dealt in groups, one file to each worker, so that all workers get about as many rows.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(num_files)
    if counts is not None:
        order = order[np.argsort(-np.array(counts)[order], kind="stable")]
    groups = rng.permuted(order.reshape(-1, num_workers), axis=1)
    mine: list[int] = rng.permutation(groups)[:, worker].tolist()
    return mine
