"""The columns of training rows: which hold the query, the documents and the labels, and whether they are sound."""

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
LARGEST_LABEL = 1e9  # squared and summed over any batch, it is far from the largest float32, 3.4e38
EXPECTED = (
    f"Expected a query ({', '.join(QUERY_NAMES)}) and a document ({', '.join(DOCUMENT_NAMES)}), and negatives "
    f"(negative, negatives, negative_1, …) if there are; or {' and '.join(SENTENCE_NAMES)}; or {TEXT_NAME} alone; "
    f"each with {', '.join(LABEL_NAMES)} if there are labels."
)


class Rows(NamedTuple):
    """Some rows that passed the checks.

    Args:
        texts: The query's column, the document's, those of the negatives; `(columns) × n` texts.
        labels: float32 `(n, k)`, `None` where there are none.
    """

    texts: list[list[str]]
    labels: np.ndarray | None


@dataclass(frozen=True)
class Layout:
    """Which columns are read.

    Args:
        texts: The columns of texts that come first: query and document, two sentences, or one text.
        negatives: The columns that hold one negative or a list of them.
        label: The column of labels.
        symmetric: Whether no text is a query or a document: two sentences, or one text.
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
    """Turns blocks of one dataset into rows; the first block decides which columns there are.

    Args:
        names: The names of the first block's columns.
        place: The first row's place.

    Raises:
        InputError: if the names tell no query and document.
    """

    def __init__(self, names: Sequence[str], place: Place) -> None:
        self.layout = find_layout(names, place)
        self._first = place
        self._widths: dict[str, int] = {}

    def read(self, block: Block) -> Rows:
        """Checks a block's values.

        Raises:
            InputError: if a column is missing, a text is not a text, labels are not finite numbers, or a row has
                another number of negatives or labels than the first; with the row's place.
        """
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
        """Makes columns of lists of negatives; a lone string is a list of one, nothing a list of none."""
        lists = [to_list(value) for value in values]
        width = self._widths.setdefault(name, len(lists[0]))
        if any(len(one) != width for one in lists):
            number = next(number for number, one in enumerate(lists) if len(one) != width)
            raise ragged_error(block.place(number), len(lists[number]), self._first, width)
        return [list(column) for column in zip(*lists, strict=True)]

    def _read_labels(self, values: Sequence[Any], name: str, place: Callable[[int], Place]) -> np.ndarray:
        width = self._widths.setdefault(name, count_labels(values[0]))
        labels = to_numbers(values)
        if labels is None or labels.shape[1] != width or not are_sound(labels):
            for number, value in enumerate(values):
                self._check_label(value, name, width, place(number))
        assert labels is not None
        return labels

    def _check_label(self, value: Any, name: str, width: int, place: Place) -> None:
        labels = to_numbers([value])
        if labels is None or not are_sound(labels):
            raise InputError(
                f"{place}: `{name}` must be a finite number from -{LARGEST_LABEL:.0e} to {LARGEST_LABEL:.0e}, or a "
                f"list of them. Received: {shorten(value)} of type {type(value).__name__}. Mend it, or leave the row "
                "out."
            )
        if labels.shape[1] != width:
            raise InputError(
                f"{place}: expected {width} numbers in `{name}`, as {self._first} has. Received: {labels.shape[1]}. "
                "Give every row the same number of labels."
            )


def find_layout(names: Sequence[str], place: Place) -> Layout:
    """Tells from the columns' names what they hold.

    Args:
        names: The columns that were found.
        place: Where, for the error.

    Raises:
        InputError: if there is no query or no document, or more than one column could be it.
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
    """The columns that are read; the others are named in one log line."""
    used = find_layout(names, place).names
    others = [str(name) for name in names if name not in used]
    if others:
        logger.info("%s: read the columns %s, left out %s.", place, ", ".join(used), ", ".join(others))
    return used


def pick_one(found: list[str], what: str, place: Place, received: str) -> str | None:
    """The only column that can hold something, `None` where there is none."""
    if len(found) > 1:
        raise InputError(
            f"{place}: more than one column can hold {what}: {', '.join(found)}. {received} Leave one of them."
        )
    return found[0] if found else None


def negative_order(name: str) -> tuple[int, str]:
    """Puts negative and negatives first, then negative_1, negative_2, … negative_10 by their numbers."""
    match = NEGATIVE.fullmatch(name)
    return (int(match[1]) if match and match[1] else -1), name


def standard_names(num_columns: int, *, symmetric: bool) -> tuple[str, ...]:
    """The names under which rows are written: any reader of pairs knows them again.

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
    """The texts of a column, each not empty and of valid Unicode.

    Raises:
        InputError: if one is not; with its place.
    """
    try:
        "".join(values).encode()  # the whole column in one step: texts are sound nearly always
        sound = not any(not value or value.isspace() for value in values)
    except (TypeError, UnicodeEncodeError):
        sound = False
    if not sound:
        for number, value in enumerate(values):
            check_text(value, name, place(number))
    return [value if type(value) is str else str(value) for value in values]


def check_text(value: Any, name: str, place: Place) -> None:
    """Raises where a value is not a text that can be encoded."""
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
            f"{error.start} of {value[:40]!r}. Mend it with `text.encode('utf-8', 'replace').decode()`."
        ) from None


def ragged_error(place: Place, found: int, first: Place, expected: int) -> InputError:
    """Says that a row has another number of negatives than the first one."""
    return InputError(
        f"{place}: expected {expected} negatives, as {first} has. Received: {found}. All rows of a dataset have the "
        "same number: cut longer lists, leave out rows with fewer, or give the two kinds as datasets of their own."
    )


def to_list(value: Any) -> list[Any]:
    """A list of negatives as a list."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    return [] if is_missing(value) else [value]


def count_labels(value: Any) -> int:
    """How many labels a row has."""
    return len(value) if isinstance(value, list | tuple | np.ndarray) and np.ndim(value) else 1


def to_numbers(values: Sequence[Any]) -> np.ndarray | None:
    """Labels as float32 `(n, k)`; what float32 cannot hold is infinite; `None` where they are not numbers."""
    try:
        labels = np.array([float(value) if isinstance(value, Decimal) else value for value in values])
    except ValueError:  # lists of different lengths
        return None
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
        return None
    with np.errstate(over="ignore"):
        return labels.astype("float32").reshape(len(values), -1)


def are_sound(labels: np.ndarray) -> bool:
    """Whether losses can compute with labels: no NaN, and none so large that its square overflows."""
    return bool((np.abs(labels) <= LARGEST_LABEL).all())


def shorten(value: Any) -> str:
    """A value for an error, at most 60 characters of it."""
    try:
        return f"{value!r:.60}"
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
