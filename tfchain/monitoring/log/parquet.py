"""A log's closed files as Parquet: texts and lists as columns, what varies as JSON."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_file
from tfchain.core.errors import MissingPackageError

_LISTS = ("query_response_hit_ids",)
_OBJECTS = ("query_attributes", "event_attributes", "metrics")


def check_parquet() -> None:
    """Raises a MissingPackageError if Parquet files cannot be written here."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "A query log in Parquet needs pyarrow. Install it with `pip install pyarrow`, or write JSON lines."
        ) from error


def convert(path: Path) -> Path:
    """Replaces a file of JSON lines with a Parquet file of the same records; lines that are broken are left out.

    Args:
        path: The file, whose name ends in `.jsonl`.

    Returns:
        The Parquet file.
    """
    import pyarrow
    import pyarrow.parquet

    records = list(read_lines(path))
    names = sorted({name for record in records for name in record})
    columns = {name: [_to_cell(name, record.get(name)) for record in records] for name in names}
    types = {name: pyarrow.list_(pyarrow.string()) if name in _LISTS else pyarrow.string() for name in names}
    table = pyarrow.table({name: pyarrow.array(columns[name], types[name]) for name in names})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    made = write_file(path.with_suffix(".parquet"), sink.getvalue().to_pybytes(), mode=0o600)
    path.unlink()
    return made


def read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    """Reads the records of a Parquet file."""
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            yield {
                name: json.loads(value) if name in _OBJECTS else value
                for name, value in row.items()
                if value is not None
            }


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the records of JSON lines; lines that are no object, such as one that is half written, are left out."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _to_cell(name: str, value: Any) -> Any:
    if value is None or name in _LISTS:
        return value
    return json.dumps(value, ensure_ascii=False) if name in _OBJECTS or not isinstance(value, str) else value
