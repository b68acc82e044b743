"""Reads texts with their targets from lists, files and Hugging Face datasets."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Place
from tfchain.data.files.records import read_records
from tfchain.tasks.text_rows import TextRows

BATCH_ROWS = 1024


def read_text_rows(
    source: Any, to_target: Callable[[Any, Place], Any], *, split: str = "train", names: Sequence[str] = ("label",)
) -> TextRows:
    """Reads texts, or pairs of texts, with their targets.

    Args:
        source: One of:

            - a list or a generator of `(text, target)` or `(text, second text, target)` tuples, or of dicts with
              `text`, the target and, for pairs of texts, `text_pair`.
            - the path of a `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet` file with these columns.
            - a Hugging Face `Dataset` with these columns, or a `DatasetDict`; numbers of a `ClassLabel` become names.
            - `TextRows`, which are returned as they are.
        to_target: A function from a target as found, and its place for errors, to plain values. An empty cell of a file
            is an empty text.
        split: The split of a `DatasetDict`. Default: `train`.
        names: The names of the target's column, of which a source has one. Default: `label`.

    Raises:
        InputError: if there are no rows, a text is empty or not a string, or a column is missing; it names the row.
    """
    if isinstance(source, TextRows):
        return source
    texts: list[str] = []
    seconds: list[str] = []
    targets: list[Any] = []
    place: Place | None = None
    for place, text, second, target in _iterate(source, split, names):
        texts.append(_check_text(text, "text", place))
        if second is not None:
            seconds.append(_check_text(second, "text_pair", place))
        if len(seconds) not in (0, len(texts)):
            raise InputError(f"{place}: expected `text_pair` in all rows or in none. Received: rows of both kinds.")
        targets.append(to_target(target, place))
    if place is None:
        raise InputError(f"The dataset must have at least one row. Received: an empty {type(source).__name__}.")
    return TextRows(texts, targets, seconds or None)


def _iterate(source: Any, split: str, names: Sequence[str]) -> Iterator[tuple[Place, Any, Any, Any]]:
    if isinstance(source, str | os.PathLike):
        for place, record in read_records(str(source)):
            text, pair, target = _take(record, place, names)
            yield place, text, pair, "" if target is None else target  # an empty cell
    elif hasattr(source, "column_names") and (hasattr(source, "iter") or isinstance(source, Mapping)):
        yield from _iterate_hugging_face(source, split, names)
    elif isinstance(source, Mapping | bytes | set | frozenset | np.ndarray) or not isinstance(source, Iterable):
        raise InputError(f"`dataset` must be {_describe_forms(names)}. Received: {type(source).__name__}.")
    else:
        for number, row in enumerate(source):
            place = Place("dataset[", number, "]")
            if isinstance(row, Mapping):
                yield place, *_take(row, place, names)
            elif isinstance(row, tuple | list) and len(row) in (2, 3):
                yield place, row[0], row[1] if len(row) == 3 else None, row[-1]
            else:
                forms = _describe_forms(names)
                raise InputError(f"{place}: `dataset` must be {forms}. Received: {row!r:.60} of {type(row).__name__}.")


def _describe_forms(names: Sequence[str]) -> str:
    return (
        f"a list of (text, {names[0]}) tuples, of (text, second text, {names[0]}) tuples, or of dicts with `text` and "
        f"`{names[0]}` (and `text_pair`); the path of a .csv, .tsv, .jsonl or .parquet file with these columns; or a "
        "Hugging Face Dataset"
    )


def _iterate_hugging_face(source: Any, split: str, names: Sequence[str]) -> Iterator[tuple[Place, Any, Any, Any]]:
    if isinstance(source, Mapping):
        if split not in source:
            raise InputError(
                f"The dataset has no split {split!r}. Its splits: {', '.join(map(str, source))}. Name one of them."
            )
        source = source[split]
    if hasattr(source, "with_format"):
        source = source.with_format(None)  # plain Python values, whatever format the user set
    classes = _find_class_names(source, names)
    number = 0
    for batch in source.iter(batch_size=BATCH_ROWS):
        columns = list(batch)
        for values in zip(*(batch[name] for name in columns), strict=True):
            place = Place("dataset[", number, "]")
            text, second, target = _take(dict(zip(columns, values, strict=True)), place, names)
            yield place, text, second, _name_class(target, classes)
            number += 1


def _find_class_names(source: Any, names: Sequence[str]) -> list[str] | None:
    """Returns the names of a `ClassLabel`, or of a sequence of them; None for other features."""
    features = getattr(source, "features", None) or {}
    feature = next((features[name] for name in names if name in features), None)
    feature = getattr(feature, "feature", feature)
    classes: list[str] | None = getattr(feature, "names", None)
    return classes


def _name_class(target: Any, classes: list[str] | None) -> Any:
    if classes is None:
        return target
    if isinstance(target, list | tuple):
        return [classes[number] for number in target]
    return None if target is None or target < 0 else classes[target]


def _take(record: Mapping[str, Any], place: Place, names: Sequence[str]) -> tuple[Any, Any, Any]:
    found = [name for name in names if name in record]
    if "text" not in record or len(found) != 1:
        raise InputError(
            f"{place}: expected the columns `text` and `{names[0]}` (and `text_pair` for pairs). Received: "
            f"{', '.join(map(str, record))}. Rename the columns."
        )
    return record["text"], record.get("text_pair"), record[found[0]]


def _check_text(value: Any, name: str, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Add a text, or leave the row out."
        )
    return value
