"""The formats of a prepared set: a spool of JSON lines becomes a shard of JSON lines, Parquet or TFRecords."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.documents.prepared_set import METADATA_COLUMN
from tfchain.data.files.shard_manifest import Kind, ShardFormat

GROUP_ROWS = 1024
DOCUMENT_COLUMNS = ("id", "title", "text", METADATA_COLUMN)


def write_shard(spool: Path, path: Path, kind: Kind, form: ShardFormat, first: Path | None) -> None:
    """Makes a shard of a spool.

    Args:
        spool: A file of JSON lines.
        path: The shard's file.
        kind: Whether the lines are documents or rows.
        form: The shard's format.
        first: The first shard of the set, whose columns a Parquet file must have; `None` if this is it.

    Raises:
        InputError: if rows do not fit into the columns of Parquet.
    """
    if form == "jsonl":
        link(spool, path)
    elif form == "parquet":
        write_parquet(spool, path, kind, first)
    else:
        write_tfrecord(spool, path)


def link(spool: Path, path: Path) -> None:
    """Gives a file a second name; copies it where the file system has no such links."""
    path.unlink(missing_ok=True)
    try:
        os.link(spool, path)
    except OSError:
        shutil.copyfile(spool, path)


def read_spool(spool: Path) -> Iterator[dict[str, Any]]:
    """Reads the records of a spool as dicts."""
    with spool.open("rb") as file:
        for line in file:
            yield json.loads(line)


def write_parquet(spool: Path, path: Path, kind: Kind, first: Path | None) -> None:
    """Writes a Parquet file of row groups of 1,024 rows."""
    import pyarrow
    from pyarrow import parquet

    if kind == "documents":
        schema = pyarrow.schema([(name, pyarrow.string()) for name in DOCUMENT_COLUMNS])
    elif first is not None:
        schema = parquet.read_schema(first)
    else:
        schema = infer_schema(spool)
    records = read_spool(spool)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(records, GROUP_ROWS)):
            writer.write_table(to_table(group, schema, kind))


def infer_schema(spool: Path) -> Any:
    """Returns the columns of all rows of a spool, in the order of their first appearance, with their types."""
    import pyarrow

    schema = pyarrow.schema([])
    records = read_spool(spool)
    while group := list(islice(records, GROUP_ROWS)):
        names = list(dict.fromkeys(name for record in group for name in record))
        try:
            found = pyarrow.schema(
                [(name, pyarrow.array([record.get(name) for record in group]).type) for name in names]
            )
            schema = pyarrow.unify_schemas([schema, found], promote_options="permissive")
        except pyarrow.ArrowException as error:
            raise columns_error(str(error)) from None
    return pyarrow.schema(
        [(field.name, pyarrow.string() if pyarrow.types.is_null(field.type) else field.type) for field in schema]
    )


def to_table(group: Sequence[Mapping[str, Any]], schema: Any, kind: Kind) -> Any:
    """Makes a table of records."""
    import pyarrow

    if kind == "documents":
        group = [flatten(record) for record in group]
    for record in group:
        others = record.keys() - set(schema.names)
        if others:
            raise columns_error(f"a later row has the column {min(others)!r}, which the first file lacks")
    try:
        arrays = [pyarrow.array([record.get(field.name) for record in group], type=field.type) for field in schema]
        return pyarrow.table(arrays, schema=schema)
    except pyarrow.ArrowException as error:
        raise columns_error(str(error)) from None


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document with its metadata as one text of JSON, which any metadata fits into."""
    metadata = record.get("metadata")
    found = {**record, METADATA_COLUMN: json.dumps(metadata, ensure_ascii=False) if metadata else None}
    found.pop("metadata", None)
    return found


def columns_error(why: str) -> InputError:
    """Makes the error for rows that do not fit into one table."""
    return InputError(
        f"The rows do not fit into the columns of Parquet: {why.splitlines()[0]}. Expected columns of one type each, "
        "all of them among the rows of the first file. Use format='jsonl', or leave those columns out."
    )


def write_tfrecord(spool: Path, path: Path) -> None:
    """Writes a file of `tf.train.Example`s: texts as bytes, numbers as floats."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in read_spool(spool):
            features = {name: to_feature(value) for name, value in record.items() if value is not None}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))


def to_feature(value: Any) -> Any:
    """Returns a value as a feature: texts and what else JSON has as bytes, numbers as floats, whole ones as int64."""
    import tensorflow as tf

    values = value if isinstance(value, list) else [value]
    if values and all(type(item) is int and -(2**63) <= item < 2**63 for item in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if values and all(type(item) in (int, float) for item in values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    texts = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in texts]))
