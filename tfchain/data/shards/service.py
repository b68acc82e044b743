"""Rows of shards that other machines read, received through a `tf.data` service."""

import itertools
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.data.pairs.rows import Row
from tfchain.data.pairs.sources import is_tfrecord
from tfchain.data.shards.files import list_files
from tfchain.data.shards.pair_shards import PairShards

BLOCK_ROWS = 256
CONNECT_SECONDS = 10
FIRST_SECONDS = 300  # the workers fill their shuffle buffer before they send the first row


def read_through_service(shards: PairShards, address: str, *, seed: int) -> Iterator[Row]:
    """Returns an endless iterator of rows, which the service's workers read, unpack and shuffle.

    Trainings that use the same shards and seed share the rows, first come, first served. Which rows come when
    depends on the machines, so a training is not exactly repeatable, and one that resumes from a checkpoint sees
    different rows from an uninterrupted one.

    Args:
        shards: TFRecord files that the service's workers can read under the same paths.
        address: `grpc://host:port` of the service's dispatcher (`tf.data.experimental.service.DispatchServer`).
        seed: The seed of the order of files and rows.

    Raises:
        InputError: at once if the address is not valid, no service answers, or a file is not a TFRecord file.
    """
    files = list_files(shards.paths)
    others = [file for file in files if not is_tfrecord(file)]
    if others:
        raise InputError(f"A tf.data service reads TFRecord files only. Received: {others[0]}. Use `write_tfrecords`.")
    check_address(address)
    return _read(shards, address, seed)


def check_address(address: str) -> None:
    """Raises an InputError if an address is not valid, or no dispatcher answers there."""
    parts = urlsplit(address if isinstance(address, str) else "")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "grpc" or not parts.hostname or port is None:
        raise InputError(f"`data_service` must be 'grpc://host:port'. Received: {address!r}.")
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"No tf.data service answers at {address}: {error}. Start a `tf.data.experimental.service.DispatchServer` "
            "there, and its workers."
        ) from error


def first_of(blocks: Iterator[Any], address: str) -> Any:
    """Returns the first block.

    Raises:
        TfchainError: if no block arrives in time: a dispatcher without workers answers, but never sends anything.
    """
    results: queue.Queue[Any] = queue.Queue()

    def wait() -> None:
        try:
            results.put((next(blocks), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=wait, daemon=True).start()
    try:
        block, error = results.get(timeout=FIRST_SECONDS)
    except queue.Empty:
        raise TfchainError(
            f"The tf.data service at {address} sent no row within {FIRST_SECONDS} seconds. Start workers for it "
            "(`tf.data.experimental.service.WorkerServer`) that can read the files."
        ) from None
    if error is not None:
        raise error
    return block


def _read(shards: PairShards, address: str, seed: int) -> Iterator[Row]:
    import tensorflow as tf

    layout = shards.layout()
    files = list_files(shards.paths)
    features: dict[str, Any] = {name: tf.io.FixedLenFeature([], tf.string) for name in layout.columns}
    if layout.num_labels:
        features["labels"] = tf.io.FixedLenFeature([layout.num_labels], tf.float32)

    def open_file(path: Any) -> Any:
        zipped = tf.strings.regex_full_match(path, r".*\.gz")
        return tf.data.TFRecordDataset(path, compression_type=tf.where(zipped, "GZIP", ""))

    paths = tf.data.Dataset.from_tensor_slices([str(file.absolute()) for file in files])
    dataset = (
        paths.shuffle(len(files), seed=seed)
        .repeat()
        .interleave(open_file, cycle_length=min(16, len(files)))
        .shuffle(shards.shuffle_rows, seed=seed)
        .batch(BLOCK_ROWS)
        .map(lambda block: tf.io.parse_example(block, features))
    )
    name = make_fingerprint({"files": [str(file.absolute()) for file in files], "seed": seed}, [])
    dataset = dataset.apply(
        tf.data.experimental.service.distribute(
            processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
            service=address,
            job_name=f"tfchain-{name}",
        )
    )
    blocks = dataset.as_numpy_iterator()
    for block in itertools.chain([first_of(blocks, address)], blocks):
        columns = [[text.decode("utf-8") for text in block[name]] for name in layout.columns]
        labels = block["labels"].tolist() if layout.num_labels else None
        for number, texts in enumerate(zip(*columns, strict=True)):
            row: Row = dict(zip(layout.columns, texts, strict=True))
            if labels is not None:
                row["labels"] = tuple(labels[number])
            yield row
