"""Queries with lists of documents and their labels: what a reranker is trained and evaluated on, and how it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError

NO_DOCUMENT = -1e30  # as in `training.losses.reranking`
FORMS = (
    "rows of a query, documents and labels: dicts with `query`, `documents` (a list) and `labels` (a number for each), "
    "or whatever `read_pairs` reads: (query, document, negative, ...) tuples, dicts with `query`, `document` and "
    "`label`, files, a BEIR folder, `Pairs`"
)


@dataclass(frozen=True)
class RankedLists:
    """Queries with their documents.

    Args:
        queries: The queries.
        documents: The documents of each query, one or more.
        labels: For each query a label for each document: grades, or a teacher's scores; or, in each row alike, the
            teacher's margins of the first document over the others.
    """

    queries: Sequence[str]
    documents: Sequence[Sequence[str]]
    labels: Sequence[Sequence[float]]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def longest(self) -> int:
        """The most documents of a query."""
        return max(map(len, self.documents))

    def to_table(self) -> np.ndarray:
        """Returns the labels, float32 `(queries, most labels)`, with `NO_DOCUMENT` behind shorter lists."""
        table = np.full((len(self), max(map(len, self.labels))), NO_DOCUMENT, dtype="float32")
        for row, labels in zip(table, self.labels, strict=True):
            row[: len(labels)] = labels
        return table


def read_ranked_lists(source: Any, *, split: str = "train") -> RankedLists:
    """Reads a reranker's rows.

    Args:
        source: One of:

            - a list or a generator of dicts with `query`, `documents` (a list of texts) and `labels` (a number for each
              document: 1 and 0, grades, or a teacher's scores). Lists may differ in length.
            - a list of `(query, document, label)` tuples: each is a list of one document.
            - anything that `read_pairs` reads. Of a row without labels the first document answers (label 1), and the
              others do not (label 0); labels are a number for each document, or margins, one fewer.
            - `RankedLists`, which are returned as they are.
        split: The split of a BEIR folder or a `DatasetDict`. Default: `train`.

    Raises:
        InputError: if there are no rows, or a row is of another form; with the row's number.
    """
    if isinstance(source, RankedLists):
        return source
    if (isinstance(source, Sequence) and not isinstance(source, str | bytes)) or _is_generator(source):
        rows = list(source)
        if rows and isinstance(rows[0], Mapping) and "documents" in rows[0]:
            return _join([_read_list(row, number) for number, row in enumerate(rows)])
        if rows and isinstance(rows[0], tuple | list) and len(rows[0]) == 3 and _is_number(rows[0][2]):
            return _join([_read_labelled(row, number) for number, row in enumerate(rows)])
        source = rows
    from tfchain.data.pairs.reading import read_pairs

    pairs = read_pairs(source, split=split)
    count = pairs.num_columns - 1
    if count < 1:
        raise InputError(f"`dataset` must have {FORMS}. Received: single texts.")
    labels = pairs.labels
    if labels is None:
        labels = np.zeros((len(pairs), count), dtype="float32")
        labels[:, 0] = 1
    if labels.shape[1] not in (count, max(count - 1, 1)):
        raise InputError(
            f"`dataset` must have a label for each of {count} documents a row, or {count - 1} margins. Received: "
            f"{labels.shape[1]} labels a row."
        )
    documents = list(zip(*pairs.columns[1:], strict=True))
    return RankedLists(list(pairs.columns[0]), documents, labels.tolist())


def _read_list(row: Any, number: int) -> tuple[str, list[str], list[float]]:
    if not isinstance(row, Mapping) or not {"query", "documents"} <= set(row):
        raise InputError(f"dataset[{number}]: expected {FORMS}. Received: {row!r:.80}.")
    documents, labels = row["documents"], row.get("labels", row.get("scores"))
    if isinstance(documents, str) or not isinstance(documents, Sequence) or not documents:
        raise InputError(f"dataset[{number}]: `documents` must be a list of texts. Received: {documents!r:.60}.")
    if isinstance(labels, str) or labels is None or len(labels) != len(documents):
        raise InputError(
            f"dataset[{number}]: `labels` must have a number for each of {len(documents)} documents. "
            f"Received: {labels!r:.60}."
        )
    texts = [_check_text(row["query"], number, "query")]
    texts += [_check_text(document, number, "documents") for document in documents]
    return texts[0], texts[1:], [_check_label(label, number) for label in labels]


def _read_labelled(row: Any, number: int) -> tuple[str, list[str], list[float]]:
    if not isinstance(row, tuple | list) or len(row) != 3:
        raise InputError(f"dataset[{number}]: expected (query, document, label), as in row 0. Received: {row!r:.80}.")
    query, document, label = row
    return (
        _check_text(query, number, "query"),
        [_check_text(document, number, "document")],
        [_check_label(label, number)],
    )


def _join(rows: Sequence[tuple[str, list[str], list[float]]]) -> RankedLists:
    queries, documents, labels = zip(*rows, strict=True)
    return RankedLists(queries, documents, labels)


def _check_text(value: Any, number: int, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"dataset[{number}]: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Add a text, or leave the row out."
        )
    return value


def _check_label(value: Any, number: int) -> float:
    if not _is_number(value) or not -1e9 <= value <= 1e9:
        raise InputError(
            f"dataset[{number}]: a label must be a number from -1e9 to 1e9. Received: {value!r:.60} of type "
            f"{type(value).__name__}."
        )
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_generator(source: Any) -> bool:
    return hasattr(source, "__next__")
