"""The place where a record was found, for errors, and blocks of records with their places."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a record was found. As a string: `corpus.jsonl:17`, `data.parquet, row 17` or `documents[17]`."""

    before: str
    number: int | None = None
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{'' if self.number is None else self.number}{self.after}"


Record = tuple[Place, Mapping[str, Any]]


class Block(NamedTuple):
    """Some rows of a dataset, column by column, not yet checked.

    Args:
        names: The columns' names.
        columns: The values of each column; all columns have the same length.
        place: Returns the place of a row, by its number in this block, for errors.
    """

    names: Sequence[str]
    columns: Sequence[Sequence[Any]]
    place: Callable[[int], Place]


def places_from(before: str, start: int, after: str = "") -> Callable[[int], Place]:
    """Returns a function from a row's number in a block to its place, for rows that are numbered from `start`."""
    return lambda row: Place(before, start + row, after)
