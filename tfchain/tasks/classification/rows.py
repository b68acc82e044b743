"""Reads labelled texts from lists, files and Hugging Face datasets."""

import json
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Place
from tfchain.tasks.row_reader import read_text_rows
from tfchain.tasks.text_rows import TextRows

LABEL_NAMES = ("label", "labels")


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
    return read_text_rows(
        source,
        lambda label, place: _to_names(label, place, multi_label=multi_label),
        split=split,
        names=LABEL_NAMES,
    )


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
