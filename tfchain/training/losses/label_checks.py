"""Checks a dataset's columns and labels against what a loss takes, before training."""

from typing import Any, Literal

import numpy as np

from tfchain.core.errors import InputError

LabelKind = Literal["none", "binary", "score", "margin", "scores", "own"]
WHAT_TO_DO = "Give rows of that form or choose another loss; `default_loss` names one for the columns that are there."


def check_columns(loss: str, least: int, most: int | None, num_columns: int) -> None:
    """Raises if a dataset has too few or too many columns of text.

    Args:
        loss: The loss's name, for the error.
        least: The fewest columns that it takes, the query included.
        most: The most, or None for no limit.
        num_columns: What the dataset has.

    Raises:
        InputError: with the number found and the number needed.
    """
    if num_columns >= least and (most is None or num_columns <= most):
        return
    needed = f"{least} or more columns" if most is None else f"{least} to {most} columns"
    if most == least:
        needed = "exactly 1 column" if least == 1 else f"exactly {least} columns"
    raise InputError(
        f"The loss `{loss}` takes {needed} of text ({_name_columns(least)}). Found {num_columns}. {WHAT_TO_DO}"
    )


def check_labels(loss: str, kind: LabelKind, num_columns: int, labels: np.ndarray | None) -> None:
    """Raises if labels are missing, of the wrong shape, not numbers, or out of range.

    Args:
        loss: The loss's name, for the error.
        kind: The labels that the loss takes, a word of `LabelKind`.
        num_columns: Columns of text, the query included.
        labels: `(rows, k)` or `(rows,)`, or None.

    Raises:
        InputError: with what was found and what is needed.
    """
    if kind == "none":
        check_no_labels(loss, labels)
        return
    if kind == "own":
        if labels is None:
            raise InputError(f"The loss `{loss}` needs labels. Found none. {WHAT_TO_DO}")
        to_table(loss, labels)
        return
    documents = num_columns - 1
    widths = {"margin": (documents - 1, documents), "scores": (documents,)}.get(kind, (1,))
    needed = {
        "binary": "one label a row, 1 for a positive and 0 for a negative",
        "score": "one score a row",
        "margin": f"{documents - 1} margins (positive minus negative) or {documents} scores a row",
        "scores": f"{documents} teacher's scores a row, one for each document",
    }[kind]
    if labels is None:
        raise InputError(f"The loss `{loss}` needs labels: {needed}. Found none. {WHAT_TO_DO}")
    table = to_table(loss, labels)
    if table.shape[1] not in widths:
        raise InputError(f"The loss `{loss}` needs {needed}. Found {table.shape[1]} numbers a row. {WHAT_TO_DO}")
    if kind == "binary":
        check_range(loss, table, (table == 0) | (table == 1), "0 or 1")


def check_no_labels(loss: str, labels: np.ndarray | None) -> None:
    """Raises if a loss without labels is given labels that say more than "every row is a positive".

    Args:
        loss: The loss's name, for the error.
        labels: `(rows, k)` or `(rows,)`, or None.

    Raises:
        InputError: if a label is not 1.
    """
    if labels is None:
        return
    table = to_table(loss, labels)
    if table.shape[1] != 1 or not np.all(table == 1):
        raise InputError(
            f"The loss `{loss}` takes no labels: to it every row is a positive. Found {table.shape[1]} numbers a row, "
            "not all of them 1. Leave the labels out, or choose a loss that learns from them; `default_loss` names one."
        )


def check_range(loss: str, table: np.ndarray, fits: np.ndarray, needed: str) -> None:
    """Raises if a label is out of range.

    Args:
        loss: The loss's name, for the error.
        table: The labels, `(rows, k)`.
        fits: True where a label is in range, `(rows, k)`.
        needed: The range, for the error.

    Raises:
        InputError: with the first label out of range, and its row.
    """
    misfits = np.argwhere(~fits)
    if misfits.size:
        row, column = misfits[0]
        raise InputError(
            f"The labels of the loss `{loss}` must be {needed}. Received: {table[row, column]:g} in row {row} "
            f"(counted from 0), {len(misfits)} such labels in all. Correct those rows or leave them out."
        )


def to_table(loss: str, labels: Any) -> np.ndarray:
    """The labels as a table `(rows, k)` of finite numbers.

    Args:
        loss: The loss's name, for the error.
        labels: `(rows, k)` or `(rows,)`.

    Raises:
        InputError: if they are not numbers, not finite, or of another shape.
    """
    table = np.asarray(labels)
    if table.dtype.kind not in "biuf":
        raise InputError(f"The labels of the loss `{loss}` must be numbers. Received: an array of {table.dtype}.")
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise InputError(f"The labels of the loss `{loss}` must be of shape (rows, k). Received: shape {table.shape}.")
    check_range(loss, table, np.isfinite(table), "finite numbers")
    return table


def _name_columns(least: int) -> str:
    return {1: "the text", 2: "a query and a document"}.get(least, "a query, a positive and a negative")
