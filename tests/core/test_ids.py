"""Ids as users give them."""

import uuid

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.ids import to_id, to_ids, with_ids


@pytest.mark.parametrize(("value", "expected"), [("a\0b", "a\0b"), (7, "7"), (np.int64(-7), "-7"), (np.str_("x"), "x")])
def test_strings_and_whole_numbers_are_ids(value: object, expected: str) -> None:
    assert to_id(value) == expected
    assert type(to_id(value)) is str


def test_a_uuid_is_its_text() -> None:
    assert to_id(uuid.UUID(int=7)) == "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize("value", [True, 7.0, None, b"7", "", np.array([1, 2]), ("a",)])
def test_nothing_else_is_an_id(value: object) -> None:
    with pytest.raises(InputError, match="An id must"):
        to_id(value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("ab", ["ab"]),
        (3, ["3"]),
        (np.int32(3), ["3"]),
        (["a", 1], ["a", "1"]),
        (np.array([2, 3]), ["2", "3"]),
        ((name for name in "ab"), ["a", "b"]),
        ({"a"}, ["a"]),
        ([], []),
    ],
)
def test_one_id_or_several(values: object, expected: list[str]) -> None:
    assert to_ids(values) == expected


class Table:
    """As a data frame: it gives its columns' names."""

    columns = ("id",)

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize("values", [b"ab", {"a": 1}, None, 1.5, Table()])
def test_what_holds_no_ids_is_refused(values: object) -> None:
    with pytest.raises(InputError, match="`ids` must be an id or a list of them. Received: "):
        to_ids(values)


def test_whoever_gives_a_table_is_told_to_give_its_column() -> None:
    with pytest.raises(InputError, match=r"Received: Table\. Give the column that holds the ids\.$"):
        to_ids(Table())
    with pytest.raises(InputError, match=r"Received: dict\.$"):
        to_ids({"a": 1})


def test_keys_become_ids_and_meet() -> None:
    assert with_ids({1: "x", "b": "y"}, "queries") == {"1": "x", "b": "y"}
    with pytest.raises(InputError, match="`queries` must have each id once. Received: '1'"):
        with_ids({1: "x", "1": "y"}, "queries")
    with pytest.raises(InputError, match="`queries` must have each id once. Received: '1'"):
        with_ids({"1": "y", 1: "x"}, "queries")
    with pytest.raises(InputError, match="A key of `qrels` must be a string or a whole number. Received: 1.5"):
        with_ids({1.5: "x"}, "qrels")
    with pytest.raises(InputError, match="`qrels` must be a dict by id. Received: list"):
        with_ids([("a", 1)], "qrels")
