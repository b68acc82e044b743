"""Reads labelled texts from lists, files and Hugging Face datasets."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Place
from tfchain.data.files.records import read_records
from tfchain.tasks.text_rows import TextRows

FORMS = (
    "a list of (text, label) tuples, of (text, second text, label) tuples, or of dicts with `text` and `label` (and "
    "`text_pair`); the path of a .csv, .tsv, .jsonl or .parquet file with these columns; or a Hugging Face Dataset"
)
LABEL_NAMES = ("label", "labels")
TEXT_NAMES = ("text", "text_pair")
BATCH_ROWS = 1024


def read_rows(source: Any, *, split: str = "train", multi_label: bool = False) -> TextRows:
    """Reads labelled texts.

    Args:
        source: One of:

            - a list or a generator of `(text, label)` or `(text, second text, label)` tuples, or of dicts with `text`,
              `label` and, for pairs of texts, `text_pair`.
            - the path of a `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet` file with these columns.
            - a Hugging Face `Dataset` with these columns, or a `DatasetDict`; numbers of a `ClassLabel` become names.
            - `TextRows`, whose targets are tuples of names.

            A label is a text, a whole number or a boolean; with `multi_label`, a list of labels, which a cell of a file
            holds as JSON.
        split: The split of a `DatasetDict`. Default: `train`.
        multi_label: Whether a text may have several labels, or none. Default: False.

    Returns:
        The rows; each target is a tuple of names, sorted and without duplicates.

    Raises:
        InputError: if there are no rows, a text is empty or not a string, or a label is missing; it names the row.
    """
    if isinstance(source, TextRows):
        return source
    texts: list[str] = []
    seconds: list[str] = []
    targets: list[tuple[str, ...]] = []
    place: Place | None = None
    for place, text, second, label in _iterate(source, split):
        texts.append(_check_text(text, "text", place))
        if second is not None:
            seconds.append(_check_text(second, "text_pair", place))
        if len(seconds) not in (0, len(texts)):
            raise InputError(f"{place}: expected `text_pair` in all rows or in none. Received: rows of both kinds.")
        targets.append(_to_names(label, place, multi_label=multi_label))
    if place is None:
        raise InputError(f"The dataset must have at least one row. Received: an empty {type(source).__name__}.")
    return TextRows(texts, targets, seconds or None)


def _iterate(source: Any, split: str) -> Iterator[tuple[Place, Any, Any, Any]]:
    if isinstance(source, str | os.PathLike):
        for place, record in read_records(str(source)):
            text, pair, label = _take(record, place)
            yield place, text, pair, "" if label is None else label  # an empty cell
    elif hasattr(source, "column_names") and (hasattr(source, "iter") or isinstance(source, Mapping)):
        yield from _iterate_hugging_face(source, split)
    elif isinstance(source, Mapping | bytes | set | frozenset | np.ndarray) or not isinstance(source, Iterable):
        raise InputError(f"`dataset` must be {FORMS}. Received: {type(source).__name__}.")
    else:
        for number, row in enumerate(source):
            place = Place("dataset[", number, "]")
            if isinstance(row, Mapping):
                yield place, *_take(row, place)
            elif isinstance(row, tuple | list) and len(row) in (2, 3):
                yield place, row[0], row[1] if len(row) == 3 else None, row[-1]
            else:
                raise InputError(f"{place}: `dataset` must be {FORMS}. Received: {row!r:.60} of {type(row).__name__}.")


def _iterate_hugging_face(source: Any, split: str) -> Iterator[tuple[Place, Any, Any, Any]]:
    if isinstance(source, Mapping):
        if split not in source:
            raise InputError(
                f"The dataset has no split {split!r}. Its splits: {', '.join(map(str, source))}. Name one of them."
            )
        source = source[split]
    if hasattr(source, "with_format"):
        source = source.with_format(None)  # plain Python values, whatever format the user set
    names = _find_class_names(source)
    number = 0
    for batch in source.iter(batch_size=BATCH_ROWS):
        columns = list(batch)
        for values in zip(*(batch[name] for name in columns), strict=True):
            place = Place("dataset[", number, "]")
            text, second, label = _take(dict(zip(columns, values, strict=True)), place)
            yield place, text, second, _name(label, names)
            number += 1


def _find_class_names(source: Any) -> list[str] | None:
    """Returns the names of a `ClassLabel`, or of a sequence of them; None for other features."""
    features = getattr(source, "features", None) or {}
    feature = next((features[name] for name in LABEL_NAMES if name in features), None)
    feature = getattr(feature, "feature", feature)
    names: list[str] | None = getattr(feature, "names", None)
    return names


def _name(label: Any, names: list[str] | None) -> Any:
    if names is None:
        return label
    if isinstance(label, list | tuple):
        return [names[number] for number in label]
    return None if label is None or label < 0 else names[label]


def _take(record: Mapping[str, Any], place: Place) -> tuple[Any, Any, Any]:
    labels = [name for name in LABEL_NAMES if name in record]
    if "text" not in record or len(labels) != 1:
        raise InputError(
            f"{place}: expected the columns `text` and `label` (and `text_pair` for pairs). Received: "
            f"{', '.join(map(str, record))}. Rename the columns."
        )
    return record["text"], record.get("text_pair"), record[labels[0]]


def _check_text(value: Any, name: str, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Add a text, or leave the row out."
        )
    return value


def _to_names(label: Any, place: Place, *, multi_label: bool) -> tuple[str, ...]:
    if multi_label and isinstance(label, str):
        label = _read_cell(label)
    if isinstance(label, np.ndarray):
        label = label.tolist()
    if isinstance(label, list | tuple | set | frozenset):
        if not multi_label:
            raise InputError(
                f"{place}: expected one label. Received: {label!r:.60}. Make the chain with multi_label=True for texts "
                "with several labels."
            )
        return tuple(sorted({_to_name(item, place) for item in label}))
    return (_to_name(label, place),)


def _read_cell(cell: str) -> Any:
    """Returns the labels in a cell: a JSON list, nothing, or one label."""
    if not cell.strip():
        return []
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _to_name(label: Any, place: Place) -> str:
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str) and label.strip():
        return label
    if isinstance(label, bool | int):
        return str(label)
    raise InputError(
        f"{place}: a label must be a text, a whole number or a boolean. Received: {label!r:.60} of type "
        f"{type(label).__name__}. Correct it, or leave the row out."
    )
