"""TFRecord files of `tf.train.Example`s, as dicts."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import Bounded, DataFile, open_path, to_file
from tfchain.data.files.paths import check_name
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.tables import BLOCK_ROWS


def read_tfrecord(path: Path | DataFile, session: ReadSession | None = None) -> Iterator[Record]:
    """Reads a file of TFRecords, each a `tf.train.Example` of texts (bytes lists) and numbers (float or int lists).

    Args:
        path: The file, which may be gzipped. One that is not on this machine's disk is copied to a temporary file.
        session: Limits, and what becomes of records that are not examples of UTF-8. Default: the first one is an error.

    Yields:
        The place, and the values by name; a list of one value is that value.

    Raises:
        InputError: if the file is missing or damaged.
    """
    import tensorflow as tf

    file, session = to_file(path), session or ReadSession()
    with local_copy(file, session) as (local, compression):
        dataset = tf.data.TFRecordDataset(str(local), compression_type=compression).batch(BLOCK_ROWS)
        number = 0
        try:
            for batch in dataset.as_numpy_iterator():
                for record in batch:
                    number += 1
                    place = Place(f"{file}, record ", number)
                    try:
                        row = to_row(read_example(tf.train.Example, record, place), place)
                    except InputError as error:
                        session.reject(error, place, record)
                        continue
                    yield place, row
        except tf.errors.OpError as error:
            raise InputError(
                f"Could not read {file} as TFRecords after record {number}: {str(error).splitlines()[0]}. Write or "
                "fetch the file again."
            ) from error


@contextlib.contextmanager
def local_copy(file: DataFile, session: ReadSession) -> Iterator[tuple[Path, str]]:
    """Yields where TensorFlow can open a file, and its compression as TensorFlow names it."""
    if file.path is not None and file.compression in ("", ".gz"):
        check_name(file.path)
        open_path(file.path).close()
        yield file.path, "GZIP" if file.compression else ""
        return
    with tempfile.NamedTemporaryFile(suffix=".tfrecord") as copy:
        with file.open(session.limits) as opened:
            shutil.copyfileobj(Bounded(opened, session.limits.archive_bytes, file.label), copy, 2**20)
        copy.flush()
        yield Path(copy.name), ""


def read_example(kind: Any, record: bytes, place: Place) -> Any:
    """Parses a `tf.train.Example`."""
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(record)
    except DecodeError as error:
        raise InputError(
            f"{place}: expected a tf.train.Example. Received: {len(record)} other bytes ({error}). Write the "
            "file with `write_tfrecords`."
        ) from None


def to_row(example: Any, place: Place) -> dict[str, Any]:
    """Returns the values of a `tf.train.Example`; a list of one value becomes that value."""
    row = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = [] if kind is None else list(getattr(feature, kind).value)
        if kind == "bytes_list":
            values = [to_text(value, place) for value in values]
        row[name] = values[0] if len(values) == 1 else values
    return row


def to_text(value: Any, place: Place) -> Any:
    """Returns bytes as text, and other values unchanged."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}: expected texts in UTF-8. Received: {value[:40]!r}, with byte 0x{value[error.start]:02x} at "
            f"offset {error.start}. Write it again with `text.encode('utf-8')`."
        ) from None
