"""From the columns of a table to the arrays that a tower reads: words to numbers of a vocabulary, numbers scaled."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.interactions.columns import ColumnKind
from tfchain.data.interactions.tables import Table

ID = "id"  # the input of the rows of ids; 0 is every id that is not trained on
MOST_VALUES = 50_000  # words of a vocabulary; rarer ones are unknown
EncodeTexts = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Feature:
    """A column as a tower reads it.

    Args:
        name: The column.
        kind: Its kind.
        values: The known categories; the number of each is its place, counted from 1. Default: none.
        mean: The mean of its numbers. Default: 0.
        scale: Their standard deviation. Default: 1.
        dim: The width of the vectors of its texts. Default: 0.
    """

    name: str
    kind: ColumnKind
    values: Sequence[str] = ()
    mean: float = 0.0
    scale: float = 1.0
    dim: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of its input, without the batch."""
        if self.kind == "category":
            return ()
        if self.kind == "categories":
            return (None,)
        return (self.dim,) if self.kind == "text" else (2,)

    @property
    def dtype(self) -> str:
        """The type of its input."""
        return "int32" if self.kind in ("category", "categories") else "float32"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `Feature(**values)` reads them."""
        return {**dataclasses.asdict(self), "values": list(self.values)}


def fit_features(table: Table, chosen: Sequence[str] | None, *, name: str, text_dim: int = 0) -> tuple[Feature, ...]:
    """Learns vocabularies, means and deviations of columns.

    Args:
        table: Users or items.
        chosen: The columns; None for all that a tower can read.
        name: The table's name, for errors.
        text_dim: The width of the vectors of texts; 0 if no encoder of texts is at hand, and texts are left out.

    Raises:
        InputError: if a chosen column is missing, or a text and there is no encoder.
    """
    missing = [column for column in chosen or () if column not in table.columns]
    if missing:
        raise InputError(
            f"The table of {name} must have the columns that the model reads. Received: none named {missing[0]!r}, of "
            f"{', '.join(table.columns) or 'none besides the ids'}."
        )
    features = []
    for column, kind in table.kinds.items():
        if chosen is not None and column not in chosen:
            continue
        if kind == "text" and not text_dim:
            if chosen is not None:
                raise InputError(
                    f"The text `{column}` of {name} needs an encoder of texts. Received: text_encoder=None. Give the "
                    "chain a TextEncoder, or name the column's kind `category`."
                )
            continue
        features.append(_fit(column, kind, table.columns[column], text_dim))
    return tuple(features)


def make_inputs(
    table: Table, features: Sequence[Feature], id_rows: Mapping[str, int], encode_texts: EncodeTexts | None
) -> dict[str, np.ndarray]:
    """Returns what a tower reads of a table, input → array of as many rows.

    Args:
        table: Users or items.
        features: What the tower reads.
        id_rows: The number of each id that is trained on; others are 0.
        encode_texts: From texts to vectors, if a feature is a text.
    """
    inputs = {ID: np.array([id_rows.get(id, 0) for id in table.ids], dtype="int32")}
    for place, feature in enumerate(features):
        values = table.columns.get(feature.name) or [None] * len(table)
        inputs[input_name(place)] = _to_array(feature, values, encode_texts)
    return inputs


def input_name(place: int) -> str:
    """Returns the name of the input of a feature, by its place."""
    return f"feature_{place}"


def _fit(column: str, kind: ColumnKind, values: Sequence[Any], text_dim: int) -> Feature:
    if kind in ("category", "categories"):
        words = Counter(
            word
            for value in values
            for word in (value if isinstance(value, tuple) else () if value is None else (value,))
        )
        known = sorted(words, key=lambda word: (-words[word], word))[:MOST_VALUES]
        return Feature(column, kind, tuple(known))
    if kind == "text":
        return Feature(column, kind, dim=text_dim)
    found = np.array([value for value in values if value is not None], dtype="float64")
    if not len(found):
        return Feature(column, kind)
    return Feature(column, kind, mean=float(found.mean()), scale=float(found.std()) or 1.0)


def _to_array(feature: Feature, values: Sequence[Any], encode_texts: EncodeTexts | None) -> np.ndarray:
    if feature.kind == "text":
        assert encode_texts is not None  # checked when the features were fitted
        texts = ["" if value is None else str(value) for value in values]
        return np.asarray(encode_texts(texts), dtype="float32").reshape(len(texts), feature.dim)
    places = {word: number for number, word in enumerate(feature.values, start=1)}
    if feature.kind == "category":
        return np.array([0 if value is None else places.get(value, 0) for value in values], dtype="int32")
    if feature.kind == "categories":
        numbers = [[places[word] for word in value or () if word in places] for value in values]
        width = max([1, *map(len, numbers)])
        table = np.zeros((len(values), width), dtype="int32")
        for row, found in enumerate(numbers):
            table[row, : len(found)] = found
        return table
    array = np.zeros((len(values), 2), dtype="float32")
    for row, value in enumerate(values):
        if value is not None:
            array[row] = ((float(value) - feature.mean) / feature.scale, 1.0)
    return array
