"""Training rows from TensorFlow's formats: TFRecord files and tf.data datasets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.files.lines import open_bytes
from tfchain.data.files.paths import check_name
from tfchain.data.files.place import Block, Place, places_from
from tfchain.data.files.tables import BLOCK_ROWS
from tfchain.data.pairs.columns import standard_names, used_names


def read_tf_dataset(dataset: Any) -> Iterator[Block]:
    """Reads a finite, unbatched `tf.data.Dataset` of dicts or tuples of strings (and labels, in dicts)."""
    import tensorflow as tf

    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise InputError(
            "`dataset` must end. Received: a tf.data.Dataset that repeats forever. Leave out `repeat()`: `epochs` "
            "says how often it is read."
        )
    spec = dataset.element_spec
    if isinstance(spec, dict):
        names = used_names(list(spec), Place("dataset[", 0, "]"))
        dataset = dataset.map(lambda row: tuple(row[name] for name in names))
    else:
        names = standard_names(len(spec) if isinstance(spec, tuple) else 1, symmetric=False)
        dataset = dataset.map(lambda *row: row)
    parts = dataset.element_spec
    if not all(isinstance(part, tf.TensorSpec) for part in parts):
        raise InputError(
            f"`dataset` must yield flat dicts or tuples of string tensors. Received: the element_spec {spec}. Map it "
            "to {'query': …, 'positive': …}."
        )
    if parts[0].shape.rank:
        raise InputError(
            f"`dataset` must yield one row per element. Received: `{names[0]}` of shape {parts[0].shape}. "
            "Use `dataset.unbatch()`."
        )
    # Values from tf.py_function have an unknown shape: assume a scalar, and TensorFlow raises an error if it is not.
    shapes = [[] if part.shape.rank is None else part.shape for part in parts]
    dataset = dataset.map(lambda *row: tuple(map(tf.ensure_shape, row, shapes))).ragged_batch(BLOCK_ROWS)
    start = 0
    for batch in dataset.as_numpy_iterator():
        columns = [part.to_list() if hasattr(part, "to_list") else part.tolist() for part in batch]
        columns = [[decode_value(value, start + row) for row, value in enumerate(column)] for column in columns]
        yield Block(names, columns, places_from("dataset[", start, "]"))
        start += len(columns[0])


def decode_value(value: Any, number: int) -> Any:
    """Returns bytes, or a list of them, as text."""
    if isinstance(value, list):
        return [decode_value(item, number) for item in value]
    return to_text(value, Place("dataset[", number, "]")) if isinstance(value, bytes) else value


def read_tfrecord(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Reads a file of TFRecords, each a `tf.train.Example` of texts (bytes lists) and labels (float or int lists)."""
    import tensorflow as tf

    check_name(path)
    open_bytes(path).close()
    compression = "GZIP" if path.name.lower().endswith(".gz") else ""

    dataset = tf.data.TFRecordDataset(str(path), compression_type=compression).batch(BLOCK_ROWS)
    number = 0
    try:
        for batch in dataset.as_numpy_iterator():
            for record in batch:
                number += 1
                place = Place(f"{path}, record ", number)
                yield place, to_row(read_example(tf.train.Example, record, place), place)
    except tf.errors.OpError as error:
        raise InputError(
            f"Could not read {path} as TFRecords after record {number}: {str(error).splitlines()[0]}. Write or fetch "
            "the file again."
        ) from error


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
