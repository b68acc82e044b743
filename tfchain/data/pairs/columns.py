"""The columns of training rows: which hold the query, the documents and the labels, and whether they are valid."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.files.place import Block, Place
from tfchain.data.files.values import is_missing

logger = logging.getLogger(__name__)

QUERY_NAMES = ("query", "anchor", "question")
DOCUMENT_NAMES = ("positive", "document", "answer", "context", "passage", "text")
SENTENCE_NAMES = ("sentence1", "sentence2")
LABEL_NAMES = ("score", "scores", "label", "labels", "margin")
TEXT_NAME = "text"
NEGATIVE = re.compile(r"negatives?|negative_([0-9]{1,9})")
LARGEST_LABEL = 1e9  # its square, summed over any batch, is far below the largest float32, 3.4e38
EXPECTED = (
    f"Expected a query ({', '.join(QUERY_NAMES)}) and a document ({', '.join(DOCUMENT_NAMES)}), and negatives "
    f"(negative, negatives, negative_1, …) if any; or {' and '.join(SENTENCE_NAMES)}; or {TEXT_NAME} alone; "
    f"each with {', '.join(LABEL_NAMES)} if there are labels."
)


class Rows(NamedTuple):
    """Rows that passed the checks.

    Args:
        texts: The columns of the query, the document and the negatives; `(columns) × n` texts.
        labels: float32 `(n, k)`; `None` if there are none.
    """

    texts: list[list[str]]
    labels: np.ndarray | None


@dataclass(frozen=True)
class Layout:
    """Which columns are read.

    Args:
        texts: The columns of the first texts: query and document, two sentences, or one text.
        negatives: The columns that hold a negative or a list of negatives. Default: none.
        label: The column of labels. Default: none.
        symmetric: Whether the texts are neither queries nor documents: two sentences, or one text. Default: False.
    """

    texts: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    label: str | None = None
    symmetric: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.texts, *self.negatives, *([self.label] if self.label else []))


class ColumnReader:
    """Turns blocks of one dataset into rows; the first block decides which columns are expected.

    Args:
        names: The names of the first block's columns.
        place: The first row's place.

    Raises:
        InputError: if the names do not identify the query and the document.
    """

    def __init__(self, names: Sequence[str], place: Place) -> None:
        self.layout = find_layout(names, place)
        self._first = place
        self._widths: dict[str, int] = {}

    def read(self, block: Block) -> Rows:
        """Checks a block's values.

        Raises:
            InputError: if a column is missing, a text is not a string or is empty, labels are not finite numbers, or a
                row has a different number of negatives or labels from the first; with the row's place.
        """
        widths = dict(self._widths)
        try:
            return self._read(block)
        except InputError:
            self._widths = widths  # a broken row decides nothing
            raise

    def _read(self, block: Block) -> Rows:
        self._check_names(block)
        by_name = dict(zip(block.names, block.columns, strict=True))
        texts = [check_texts(by_name[name], name, block.place) for name in self.layout.texts]
        for name in self.layout.negatives:
            texts += [check_texts(column, name, block.place) for column in self._spread(by_name[name], name, block)]
        label = self.layout.label
        return Rows(texts, None if label is None else self._read_labels(by_name[label], label, block.place))

    def _check_names(self, block: Block) -> None:
        found, expected = set(find_layout(block.names, block.place(0)).names), set(self.layout.names)
        if found != expected:
            raise InputError(
                f"{block.place(0)}: expected the columns of {self._first} ({', '.join(self.layout.names)}). Received: "
                f"{', '.join(block.names)}. Give every row the same columns, with the same number of negatives."
            )

    def _spread(self, values: Sequence[Any], name: str, block: Block) -> list[list[Any]]:
        """Turns lists of negatives into columns; a single string counts as a list of one, a missing value as empty."""
        lists = [to_list(value) for value in values]
        width = self._widths.setdefault(name, len(lists[0]))
        if any(len(negatives) != width for negatives in lists):
            number = next(number for number, negatives in enumerate(lists) if len(negatives) != width)
            raise ragged_error(block.place(number), len(lists[number]), self._first, width)
        return [list(column) for column in zip(*lists, strict=True)]

    def _read_labels(self, values: Sequence[Any], name: str, place: Callable[[int], Place]) -> np.ndarray:
        width = self._widths.setdefault(name, count_labels(values[0]))
        labels = to_numbers(values)
        if labels is None or labels.shape[1] != width or not are_sound(labels):
            for number, value in enumerate(values):
                self._check_label(value, name, width, place(number))
        if labels is None:  # each is sound, but some are numbers and others lists of one
            labels = np.concatenate([np.reshape(value, (1, -1)) for value in values]).astype("float32")
        return labels

    def _check_label(self, value: Any, name: str, width: int, place: Place) -> None:
        labels = to_numbers([value])
        if labels is None or not are_sound(labels):
            raise InputError(
                f"{place}: `{name}` must be a finite number from -{LARGEST_LABEL:.0e} to {LARGEST_LABEL:.0e}, or a "
                f"list of them. Received: {shorten(value)} of type {type(value).__name__}. Fix it, or leave the row "
                "out."
            )
        if labels.shape[1] != width:
            raise InputError(
                f"{place}: expected {width} numbers in `{name}`, as {self._first} has. Received: {labels.shape[1]}. "
                "Give every row the same number of labels."
            )


def find_layout(names: Sequence[str], place: Place) -> Layout:
    """Finds out from the columns' names what they hold.

    Args:
        names: The names of the columns.
        place: Where the columns were found, for the error.

    Raises:
        InputError: if there is no query or no document, or if several columns could hold the same thing.
    """
    received = f"Received the columns: {', '.join(map(str, names))}."
    label = pick_one([name for name in LABEL_NAMES if name in names], "the labels", place, received)
    if all(name in names for name in SENTENCE_NAMES):
        layout = Layout(SENTENCE_NAMES, label=label, symmetric=True)
    elif query := pick_one([name for name in QUERY_NAMES if name in names], "the query", place, received):
        document = pick_one([name for name in DOCUMENT_NAMES if name in names], "the document", place, received)
        if document is None:
            raise InputError(f"{place}: no column holds the document. {received} {EXPECTED} Rename the columns.")
        negatives = sorted((name for name in names if NEGATIVE.fullmatch(str(name))), key=negative_order)
        layout = Layout((query, document), tuple(negatives), label)
    elif TEXT_NAME in names and not any(name in names for name in DOCUMENT_NAMES if name != TEXT_NAME):
        layout = Layout((TEXT_NAME,), label=label, symmetric=True)
    else:
        raise InputError(
            f"{place}: no column holds the query. {received} {EXPECTED} Rename the columns, or give (query, document) "
            "tuples."
        )
    return layout


def used_names(names: Sequence[str], place: Place) -> tuple[str, ...]:
    """Returns the names of the columns that are read, and logs the names of the others in one line."""
    used = find_layout(names, place).names
    others = [str(name) for name in names if name not in used]
    if others:
        logger.info("%s: read the columns %s, left out %s.", place, ", ".join(used), ", ".join(others))
    return used


def pick_one(found: list[str], what: str, place: Place, received: str) -> str | None:
    """Returns the only column found; `None` if there is none. Raises an InputError if there are several."""
    if len(found) > 1:
        raise InputError(
            f"{place}: more than one column can hold {what}: {', '.join(found)}. {received} Keep one of them."
        )
    return found[0] if found else None


def negative_order(name: str) -> tuple[int, str]:
    """Sorts negative and negatives first, then negative_1, negative_2, … negative_10 by number."""
    match = NEGATIVE.fullmatch(name)
    return (int(match[1]) if match and match[1] else -1), name


def standard_names(num_columns: int, *, symmetric: bool) -> tuple[str, ...]:
    """Returns the column names for writing rows, which every reader of pairs recognizes.

    Args:
        num_columns: The number of text columns.
        symmetric: Whether two columns are sentences rather than query and document.
    """
    if num_columns == 1:
        return (TEXT_NAME,)
    if symmetric:
        return SENTENCE_NAMES
    return ("query", "positive", *(f"negative_{number}" for number in range(1, num_columns - 1)))


def check_texts(values: Sequence[Any], name: str, place: Callable[[int], Place]) -> list[str]:
    """Returns the texts of a column, after checking that each is valid Unicode and not empty.

    Raises:
        InputError: if a text is not; with its place.
    """
    try:
        "".join(values).encode()  # the whole column in one step: nearly all texts are valid
        sound = not any(not value or value.isspace() for value in values)
    except (TypeError, UnicodeEncodeError):
        sound = False
    if not sound:
        for number, value in enumerate(values):
            check_text(value, name, place(number))
    return [value if type(value) is str else str(value) for value in values]


def check_text(value: Any, name: str, place: Place) -> None:
    """Raises an InputError if a value is not a text that can be encoded."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: `{name}` must be a text that is not empty. Received: {value!r:.60} of type "
            f"{type(value).__name__}. Give it a text, or leave the row out."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place}: `{name}` must be valid Unicode. Received: a lone surrogate {value[error.start]!r} at character "
            f"{error.start} of {value[:40]!r}. Fix it with `text.encode('utf-8', 'replace').decode()`."
        ) from None


def ragged_error(place: Place, found: int, first: Place, expected: int) -> InputError:
    """Makes the error for a row whose number of negatives differs from the first row's."""
    return InputError(
        f"{place}: expected {expected} negatives, as {first} has. Received: {found}. All rows of a dataset must have "
        "the same number: cut longer lists, leave out rows with fewer, or give the two kinds as separate datasets."
    )


def to_list(value: Any) -> list[Any]:
    """Returns negatives as a list: of a list, a single text, or nothing."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    return [] if is_missing(value) else [value]


def count_labels(value: Any) -> int:
    """Returns how many labels a row has."""
    return len(value) if isinstance(value, list | tuple | np.ndarray) and np.ndim(value) else 1


def to_numbers(values: Sequence[Any]) -> np.ndarray | None:
    """Returns labels as float32 `(n, k)`, infinite if out of float32's range; `None` if they are not numbers."""
    try:
        labels = np.array([float(value) if isinstance(value, Decimal) else value for value in values])
    except ValueError:  # lists of different lengths
        return None
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
        return None
    with np.errstate(over="ignore"):
        return labels.astype("float32").reshape(len(values), -1)


def are_sound(labels: np.ndarray) -> bool:
    """Returns whether losses can compute with labels: none is NaN, or so large that its square could overflow."""
    return bool((np.abs(labels) <= LARGEST_LABEL).all())


def shorten(value: Any) -> str:
    """Returns a value's `repr` for an error, cut to 60 characters."""
    try:
        return f"{value!r:.60}"
    except ValueError:  # a whole number with more digits than Python prints
        return "a number of thousands of digits"
