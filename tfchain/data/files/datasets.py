"""Rows of `tf.data` datasets and of Hugging Face datasets, in blocks."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Block, Place, places_from
from tfchain.data.files.tables import BLOCK_ROWS
from tfchain.data.files.tfrecords import to_text

ChooseNames = Callable[[list[str], Place], Sequence[str]]
TupleNames = Callable[[int], Sequence[str]]


def is_tf_dataset(source: Any) -> bool:
    """Returns whether a source is a `tf.data.Dataset`; whoever passes one has imported TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(source, tensorflow.data.Dataset)


def is_hugging_face(source: Any) -> bool:
    """Returns whether a source is a `datasets.Dataset`, an `IterableDataset`, or a `DatasetDict` of them."""
    return hasattr(source, "column_names") and (hasattr(source, "iter") or isinstance(source, Mapping))


def read_tf_dataset(dataset: Any, choose: ChooseNames, tuple_names: TupleNames, name: str) -> Iterator[Block]:
    """Reads a finite, unbatched `tf.data.Dataset` of dicts or tuples of strings (and numbers, in dicts).

    Args:
        dataset: The dataset.
        choose: Takes a dict's keys and a place for errors; returns the keys to read.
        tuple_names: Takes the width of tuples; returns the names of their parts.
        name: The argument's name, for errors.

    Raises:
        InputError: if it does not end, is batched, or holds something else.
    """
    import tensorflow as tf

    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise InputError(
            f"`{name}` must end. Received: a tf.data.Dataset that repeats forever. Leave out `repeat()`: `epochs` "
            "says how often it is read."
        )
    spec = dataset.element_spec
    if isinstance(spec, dict):
        names = list(choose(list(spec), Place(f"{name}[", 0, "]")))
        dataset = dataset.map(lambda row: tuple(row[key] for key in names))
    else:
        names = list(tuple_names(len(spec) if isinstance(spec, tuple) else 1))
        dataset = dataset.map(lambda *row: row)
    parts = dataset.element_spec
    if not all(isinstance(part, tf.TensorSpec) for part in parts):
        raise InputError(
            f"`{name}` must yield flat dicts or tuples of string tensors. Received: the element_spec {spec}. Map it "
            "to {'query': …, 'positive': …}."
        )
    if parts[0].shape.rank:
        raise InputError(
            f"`{name}` must yield one row per element. Received: `{names[0]}` of shape {parts[0].shape}. "
            "Use `dataset.unbatch()`."
        )
    # Values from tf.py_function have an unknown shape: assume a scalar, and TensorFlow raises an error if it is not.
    shapes = [[] if part.shape.rank is None else part.shape for part in parts]
    dataset = dataset.map(lambda *row: tuple(map(tf.ensure_shape, row, shapes))).ragged_batch(BLOCK_ROWS)
    start = 0
    for batch in dataset.as_numpy_iterator():
        columns = [part.to_list() if hasattr(part, "to_list") else part.tolist() for part in batch]
        columns = [
            [decode_value(value, Place(f"{name}[", start + row, "]")) for row, value in enumerate(column)]
            for column in columns
        ]
        yield Block(names, columns, places_from(f"{name}[", start, "]"))
        start += len(columns[0])


def decode_value(value: Any, place: Place) -> Any:
    """Returns bytes, or a list of them, as text."""
    if isinstance(value, list | np.ndarray):  # an array in a ragged row
        return [decode_value(item, place) for item in value]
    return to_text(value, place)


def read_hugging_face(dataset: Any, split: str, choose: ChooseNames, name: str) -> Iterator[Block]:
    """Reads a `datasets.Dataset` or `IterableDataset` in batches, or one split of a `DatasetDict`.

    Args:
        dataset: The dataset.
        split: Which split of a `DatasetDict`.
        choose: Takes the columns' names and a place for errors; returns the names to read.
        name: The argument's name, for errors.

    Raises:
        InputError: if the split does not exist.
    """
    if isinstance(dataset, Mapping):
        if split not in dataset:
            raise InputError(
                f"The dataset has no split {split!r}. Available: {', '.join(map(str, dataset))}. Give one of them, "
                f"such as dataset[{next(iter(dataset), 'train')!r}]."
            )
        dataset = dataset[split]
    if hasattr(dataset, "with_format"):
        dataset = dataset.with_format(None)  # plain Python values, whatever format the user has set
    start = 0
    names: list[str] = []
    for batch in dataset.iter(batch_size=BLOCK_ROWS):
        names = names or list(choose(list(batch), Place(f"{name}[", 0, "]")))
        columns = [list(batch[key]) for key in names]
        yield Block(names, columns, places_from(f"{name}[", start, "]"))
        start += len(columns[0])
