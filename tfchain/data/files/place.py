"""Where a record stands, for errors, and blocks of records that know it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a record stands; as a string `corpus.jsonl:17`, `data.parquet, row 17` or `documents[17]`."""

    before: str
    number: int | None = None
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{'' if self.number is None else self.number}{self.after}"


Record = tuple[Place, Mapping[str, Any]]


class Block(NamedTuple):
    """Some rows of a dataset, column by column, as they were found.

    Args:
        names: The columns' names.
        columns: The values of each column, all of one length.
        place: Gives the place of a row of this block by its number, for errors.
    """

    names: Sequence[str]
    columns: Sequence[Sequence[Any]]
    place: Callable[[int], Place]


def places_from(before: str, start: int, after: str = "") -> Callable[[int], Place]:
    """Gives the places of rows that are numbered one after the other, for `Block`."""
    return lambda row: Place(before, start + row, after)
