"""The files of a sharded dataset: which there are, how many rows each holds, and which worker reads which."""

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

COUNTS_NAME = "shards.json"  # beside TFRecords, which do not tell how many they are
COUNTS_FORMAT = 1

Paths = Path | str | Sequence[Path | str]


def list_files(paths: Paths) -> list[Path]:
    """The files of a folder, sorted by name, or those given, in their order; all must be there."""
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
    """How many rows a file has, by its metadata or by the file beside it; `None` where neither tells.

    Raises:
        InputError: if the Parquet file, or the file beside TFRecords, is broken or of a newer tfchain.
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
            f"{beside} is of format {kind}, which a newer tfchain wrote. Expected: format {COUNTS_FORMAT}. Update "
            "tfchain, or write the rows again with `write_tfrecords`."
        )
    rows = found.get("rows") if isinstance(found, dict) else None
    count = rows.get(file.name) if isinstance(rows, dict) else -1
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InputError(
            f"{beside} does not tell how many rows {file.name} has. Expected {{'rows': {{name: number}}}}. Received: "
            f"{text[:60]!r}. Delete it, or write the rows again with `write_tfrecords`."
        )
    return count


def deal_files(
    counts: list[int] | None, num_files: int, seed: int, epoch: int, worker: int, num_workers: int
) -> list[int]:
    """The numbers of one worker's files, in the order in which it reads them.

    Files of like size are dealt in groups, one to each worker, so that every worker gets about as many rows.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(num_files)
    if counts is not None:
        order = order[np.argsort(-np.array(counts)[order], kind="stable")]
    groups = rng.permuted(order.reshape(-1, num_workers), axis=1)
    mine: list[int] = rng.permutation(groups)[:, worker].tolist()
    return mine
