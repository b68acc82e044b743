"""Training rows, one at a time: checks blocks of a dataset, splits them into dicts, and shuffles in bounded memory."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Block
from tfchain.data.pairs.columns import ColumnReader, Rows, standard_names
from tfchain.data.pairs.sources import read_file

Row = dict[str, Any]


def read_rows(files: Iterable[Path], reader: ColumnReader | None = None) -> Iterator[Row]:
    """Reads files one after the other.

    Args:
        files: The files; together they must have at least one row.
        reader: Knows the columns that all rows must have. Default: those of the first row.

    Yields:
        Dicts of the texts by their standard names, with `labels`, a tuple of numbers, if there are labels.

    Raises:
        InputError: if there are no rows, or a row is not valid.
    """
    blocks = itertools.chain.from_iterable(read_file(file) for file in files)
    for found, rows in check_blocks(blocks, reader):
        yield from split_rows(rows, symmetric=found.layout.symmetric)


def check_blocks(blocks: Iterable[Block], reader: ColumnReader | None = None) -> Iterator[tuple[ColumnReader, Rows]]:
    """Checks blocks with a reader, by default one for the columns of the first block.

    Raises:
        InputError: if there is no block, or a row is not valid.
    """
    found = False
    for block in blocks:
        found = True
        reader = reader or ColumnReader(block.names, block.place(0))
        yield reader, reader.read(block)
    if not found:
        raise InputError("The dataset must have at least one row. Received: none.")


def split_rows(rows: Rows, *, symmetric: bool) -> Iterator[Row]:
    """Yields each row as a dict."""
    names = standard_names(len(rows.texts), symmetric=symmetric)
    labels = [] if rows.labels is None else [tuple(numbers) for numbers in rows.labels.tolist()]
    for number, texts in enumerate(zip(*rows.texts, strict=True)):
        row: Row = dict(zip(names, texts, strict=True))
        if labels:
            row["labels"] = labels[number]
        yield row


def shuffle(rows: Iterable[Row], size: int, rng: np.random.Generator) -> Iterator[Row]:
    """Yields rows in random order, drawn from a buffer of `size` rows that every row passes through."""
    rows = iter(rows)
    buffer = list(itertools.islice(rows, size))
    if size > 1:
        rng.shuffle(buffer)
    while block := list(itertools.islice(rows, 1024)):
        for place, row in zip(rng.integers(len(buffer), size=len(block)).tolist(), block, strict=True):
            yield buffer[place]
            buffer[place] = row
    if size > 1:
        rng.shuffle(buffer)
    yield from buffer
