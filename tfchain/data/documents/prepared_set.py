"""The documents of a prepared set, a folder that `prepare` wrote."""

import json
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.files.place import Record
from tfchain.data.files.records import read_records
from tfchain.data.files.shard_manifest import Manifest, find_shards

METADATA_COLUMN = "metadata_json"  # in Parquet, where a column has one type


def read_prepared_set(folder: Path, manifest: Manifest) -> Iterator[Record]:
    """Reads the documents of a prepared set.

    Args:
        folder: The folder.
        manifest: Its manifest.

    Yields:
        The place and the record of each document.

    Raises:
        InputError: if the set holds rows to train on, or a file is missing or has another size.
    """
    if manifest.kind != "documents":
        raise InputError(
            f"{folder} is a prepared set of rows to train on. Expected one of documents. Give it to `fit`, or prepare "
            "the documents into a set of their own."
        )
    for path in find_shards(folder, manifest):
        for place, record in read_records(path):
            if METADATA_COLUMN not in record:
                yield place, record
                continue
            values = dict(record)
            metadata = values.pop(METADATA_COLUMN)
            yield place, {**values, "metadata": json.loads(metadata)} if metadata else values
