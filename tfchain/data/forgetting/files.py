"""Removes records from files: each file is rewritten beside itself and replaced in one step."""

import csv
import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from tfchain.core.atomic import PARTIAL_PREFIX, sync_folder, writing
from tfchain.core.errors import InputError, first_line
from tfchain.data.files.tables import next_row
from tfchain.data.forgetting.target import Target

BLOCK_ROWS = 1024


def is_record_file(path: Path) -> bool:
    """Returns whether records can be removed from a file of this name."""
    return find_remover(path) is not None


def forget_in_file(path: Path, target: Target) -> int:
    """Removes the records of a file that come from the documents to forget.

    Args:
        path: A .json, .jsonl, .csv, .tsv (each also .gz), .parquet or .tfrecord file. Of a .json file, the matching
            items of its lists are removed; of the others, the matching rows.
        target: The documents.

    Returns:
        How many records were removed; 0 leaves the file as it is.

    Raises:
        InputError: if the file is of another kind or broken; it then stays as it is.
        TfchainError: if the disk is full or the file cannot be written; it then stays as it is.
    """
    remove = find_remover(path)
    if remove is None:
        raise InputError(
            f"Expected a file that ends in {', '.join(REMOVERS)}. Received: {path}. Delete it yourself, or remove "
            "the document from it."
        )
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=f"-{path.name}", dir=path.parent)
        partial = Path(name)
        os.close(handle)
        try:
            count = remove(path, partial, target)
            if count:
                sync_file(partial)
                shutil.copymode(path, partial)
                partial.replace(path)
                sync_folder(path.parent)
        except (ValueError, EOFError, gzip.BadGzipFile, csv.Error) as error:
            raise InputError(
                f"Could not read {path}: {first_line(error)}. Nothing in it was changed. Mend it, or delete it."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
    return count


def sync_file(path: Path) -> None:
    """Waits until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def find_remover(path: Path) -> Callable[[Path, Path, Target], int] | None:
    """Returns the function that removes records from a file of this name; `None` if there is none."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    return None if ending == ".parquet" and name.endswith(".gz") else REMOVERS.get(ending)


@contextmanager
def opened(path: Path, partial: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yields the file to read and the one to write, both unpacked if the name ends in `.gz`."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path, "rb") as old, gzip.GzipFile(partial, "wb", mtime=0) as new:
            yield cast(BinaryIO, old), cast(BinaryIO, new)
    else:
        with path.open("rb") as old, partial.open("wb") as new:
            yield old, new


def remove_lines(path: Path, partial: Path, target: Target) -> int:
    """Copies a file of JSON lines without those that match."""
    count = 0
    with opened(path, partial) as (old, new):
        for line in old:
            if line.strip() and target.matches(json.loads(line)):
                count += 1
            else:
                new.write(line)
    return count


def remove_items(path: Path, partial: Path, target: Target) -> int:
    """Copies a JSON file without the items of its lists that match."""
    with opened(path, partial) as (old, new):
        value, count = target.prune(json.load(old))
        new.write((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())
    return count


def remove_cells(path: Path, partial: Path, target: Target) -> int:
    """Copies a table of cells without the rows that match."""
    delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    count = 0
    with opened(path, partial) as (old, new):
        rows = csv.reader(io.TextIOWrapper(old, "utf-8-sig", newline=""), delimiter=delimiter)
        text = io.TextIOWrapper(new, "utf-8", newline="")
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        columns: list[str] | None = None
        while True:
            try:
                row = next_row(rows)
            except StopIteration:
                break
            if columns is not None and target.matches(dict(zip(columns, row, strict=False))):
                count += 1
                continue
            columns = columns or row
            writer.writerow(row)
        text.flush()
        text.detach()
    return count


def remove_rows(path: Path, partial: Path, target: Target) -> int:
    """Copies a Parquet file without the rows that match."""
    import pyarrow
    from pyarrow import parquet

    count = 0
    try:
        with (
            parquet.ParquetFile(path, pre_buffer=False) as old,
            parquet.ParquetWriter(partial, old.schema_arrow) as new,
        ):
            for batch in old.iter_batches(batch_size=BLOCK_ROWS):
                kept = [not target.matches(row) for row in batch.to_pylist()]
                count += len(kept) - sum(kept)
                new.write_batch(batch.filter(pyarrow.array(kept, pyarrow.bool_())))
    except pyarrow.ArrowException as error:
        raise InputError(
            f"Could not read {path} as Parquet: {first_line(error)}. Nothing in it was changed."
        ) from error
    return count


def remove_examples(path: Path, partial: Path, target: Target) -> int:
    """Copies a file of TFRecords without those that match."""
    import tensorflow as tf

    compression = "GZIP" if path.name.lower().endswith(".gz") else ""
    count = 0
    options = tf.io.TFRecordOptions(compression_type=compression)
    try:
        with tf.io.TFRecordWriter(str(partial), options) as new:
            for record in tf.data.TFRecordDataset(str(path), compression_type=compression).as_numpy_iterator():
                if target.matches(to_values(tf.train.Example.FromString(record))):
                    count += 1
                else:
                    new.write(record)
    except tf.errors.DataLossError as error:
        raise InputError(f"Could not read {path}: {first_line(error)}. Nothing in it was changed.") from error
    return count


def to_values(example: Any) -> dict[str, Any]:
    """Returns the strings and whole numbers of a `tf.train.Example` by name."""
    return {
        name: [value.decode("utf-8", "replace") for value in feature.bytes_list.value] or list(feature.int64_list.value)
        for name, feature in example.features.feature.items()
    }


REMOVERS: dict[str, Callable[[Path, Path, Target], int]] = {
    ".json": remove_items,
    ".jsonl": remove_lines,
    ".csv": remove_cells,
    ".tsv": remove_cells,
    ".parquet": remove_rows,
    ".tfrecord": remove_examples,
}
