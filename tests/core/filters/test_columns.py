"""Metadata by key: paths, lists, kinds and orders."""

from typing import Any

import numpy as np
import pytest

from tfchain.core.filters.columns import MetadataColumns, list_values, make_columns, rank

METADATA = [
    {"a": {"b": 1, "c": [True, None, {"d": "x"}]}, "a.b": "s"},
    {"a": [2, [1.5]], "e": None, "f": []},
    {},
    {"a": {"b": True}},
]


def test_inner_values_have_paths_and_lists_several_values() -> None:
    assert [list(list_values(metadata)) for metadata in METADATA] == [
        [("a.b", 1), ("a.c", True), ("a.c.d", "x"), ("a.b", "s")],
        [("a", 2), ("a", 1.5)],
        [],
        [("a.b", True)],
    ]


def test_values_are_sorted_by_kind_then_value() -> None:
    columns = make_columns(METADATA)
    assert set(columns) == {"a", "a.b", "a.c", "a.c.d"}
    column = columns["a.b"]
    assert (list(column.values), column.rows.tolist(), column.codes.tolist()) == ([True, 1, "s"], [0, 0, 3], [1, 2, 0])
    assert [type(value) for value in column.values] == [bool, int, str]
    assert list(columns["a"].values) == [1.5, 2]


@pytest.mark.parametrize("key", ["a", "a.b", "a.c", "a.c.d", "e", "f", "a.", "b", ""])
def test_a_column_made_alone_is_the_one_made_with_all(key: str) -> None:
    source = MetadataColumns(METADATA)
    alone, expected = source.column(key), make_columns(METADATA).get(key)
    assert source.num_documents == 4
    assert (alone is None) == (expected is None)
    if alone is not None and expected is not None:
        assert list(alone.values) == list(expected.values)
        assert (alone.rows.tolist(), alone.codes.tolist()) == (expected.rows.tolist(), expected.codes.tolist())
        assert source.column(key) is alone


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a", "b"],
        [3, 1.5, 3.0, -(2**70), 2**60 + 1, 2.0**60],
        [True, False, True],
        [True, "x", False],
        [1, True, 0.0, False, "1"],  # equal in Python, and of two kinds here
        ["x", None, 7, None],
        [None, None],
        [["x", 1], "x", (True, [2, None]), {"x": 1}, [{"k": 3}], []],
        [np.int64(3), 2, np.float64(3.0), np.str_("x")],
    ],
    ids=["strings", "numbers", "booleans", "two kinds", "all kinds", "missing", "nothing", "lists", "numpy"],
)
def test_a_column_is_what_the_kinds_and_values_sorted_as_pairs_give(values: list[Any]) -> None:
    metadata = [{"other": 1, "k": value} for value in values]
    entries = [(row, rank(value)) for row, one in enumerate(metadata) for key, value in list_values(one) if key == "k"]
    order = sorted({ranked for _, ranked in entries})
    column = MetadataColumns(metadata).column("k")
    if column is None:
        assert entries == []
        return
    assert column.ranked == order
    assert [(row, order[code]) for row, code in zip(column.rows, column.codes, strict=True)] == entries
    assert (column.rows.dtype, column.codes.dtype) == (np.int32, np.int32)
