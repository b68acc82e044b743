"""The language of filters against a plain reading of documents one by one, and what is refused."""

import datetime
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfchain.core.errors import InputError
from tfchain.core.filters.columns import MetadataColumns, list_values
from tfchain.core.filters.filter import MASK_BYTES, FilterMasks, parse_filter

DOCUMENTS: list[dict[str, Any]] = [
    {"language": "en", "year": 2020, "tags": ["a", "b"], "author": {"name": "Ann"}, "draft": False},
    {"language": "zh", "year": 2020.5, "tags": [], "author": {"name": "Bo", "age": 3}, "draft": True},
    {"language": "EN", "year": "2020", "tags": "a", "author": None},
    {},
    {"year": -1, "author.name": "Ann", "authors": [{"name": "Ann"}, {"name": "Cy"}], "draft": 1},
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"language": "en"}, [0]),
        ({"year": 2020}, [0]),
        ({"year": {"$eq": 2020.0}}, [0]),
        ({"year": "2020"}, [2]),
        ({"draft": True}, [1]),
        ({"draft": 1}, [4]),
        ({"draft": {"$in": [0, False]}}, [0]),
        ({"year": {"$gt": 2020}}, [1]),
        ({"year": {"$gte": 2020}}, [0, 1]),
        ({"year": {"$lt": 2020}}, [4]),
        ({"year": {"$lte": 2020}}, [0, 4]),
        ({"year": {"$lte": 2020, "$gt": -1}}, [0]),
        ({"year": {"$gt": "19"}}, [2]),
        ({"language": {"$gte": "F"}}, [0, 1]),
        ({"language": {"$ne": "en"}}, [1, 2, 3, 4]),
        ({"language": {"$nin": ["en", "zh"]}}, [2, 3, 4]),
        ({"language": {"$in": ["en", "EN", "fr", 7]}}, [0, 2]),
        ({"language": {"$in": []}}, []),
        ({"language": {"$nin": []}}, [0, 1, 2, 3, 4]),
        ({"tags": "a"}, [0, 2]),
        ({"tags": {"$ne": "b"}}, [1, 2, 3, 4]),
        ({"tags": {"$exists": True}}, [0, 2]),
        ({"author": {"$exists": False}}, [0, 1, 2, 3, 4]),
        ({"author.name": "Ann"}, [0, 4]),
        ({"author.age": {"$gte": 3}}, [1]),
        ({"authors.name": "Cy"}, [4]),
        ({"nothing": 1}, []),
        ({"nothing": {"$ne": 1}}, [0, 1, 2, 3, 4]),
        ({"year": 2020, "tags": "b"}, [0]),
        ({"$and": [{"tags": "a"}, {"language": "EN"}]}, [2]),
        ({"$or": [{"tags": "b"}, {"language": "zh"}]}, [0, 1]),
        ({"$not": {"language": {"$exists": True}}}, [3, 4]),
        ({"$not": {}}, []),
        ({"$or": [{"$and": [{"year": 2020}, {"draft": False}]}, {"$not": {"author.name": "Ann"}}]}, [0, 1, 2, 3]),
        ({"year": {"$in": [np.int64(2020), np.float32(2020.5)]}}, [0, 1]),
    ],
    ids=repr,
)
def test_a_filter_lets_documents_through(condition: Any, expected: list[int]) -> None:
    assert np.flatnonzero(parse_filter(condition).find(MetadataColumns(DOCUMENTS))).tolist() == expected


def test_dates_compare_as_the_strings_that_metadata_keeps() -> None:
    columns = MetadataColumns([{"day": "2024-01-31"}, {"day": "2024-02-01"}, {"day": "2024-02-01T08:00:00"}])
    found = parse_filter({"day": {"$gte": datetime.date(2024, 2, 1)}}).find(columns)
    assert found.tolist() == [False, True, True]


VALUES = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0, -2.0]), st.sampled_from("ab"))
METADATA = st.dictionaries(st.sampled_from("xy"), st.one_of(VALUES, st.lists(VALUES, max_size=2), st.none()))
SIZES = st.one_of(st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.sampled_from("ab"))
COMPARISON = st.one_of(
    VALUES,
    st.fixed_dictionaries({}, optional=dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), SIZES)).filter(bool),
    st.fixed_dictionaries({}, optional={"$eq": VALUES, "$ne": VALUES, "$exists": st.booleans()}).filter(bool),
    st.fixed_dictionaries({}, optional={name: st.lists(VALUES, max_size=3) for name in ("$in", "$nin")}).filter(bool),
)
FILTERS = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), COMPARISON, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(METADATA, max_size=5), FILTERS)
def test_columns_say_what_reading_document_by_document_says(documents: Any, condition: Any) -> None:
    found = parse_filter(condition).find(MetadataColumns(documents))
    assert found.tolist() == [_meets(document, condition) for document in documents]


def _meets(document: Any, condition: Any) -> bool:
    """A filter as the documentation says it, without columns."""
    return all(_meets_one(document, key, value) for key, value in condition.items())


def _meets_one(document: Any, key: str, value: Any) -> bool:
    if key == "$not":
        return not _meets(document, value)
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(_meets(document, part) for part in value)
    values = [found for name, found in list_values(document) if name == key]
    comparisons = value if isinstance(value, dict) else {"$eq": value}
    return all(_compare(values, operator, operand) for operator, operand in comparisons.items())


def _compare(values: list[Any], operator: str, operand: Any) -> bool:
    def same(value: Any, other: Any) -> bool:
        return isinstance(value, bool) == isinstance(other, bool) and value == other

    def comparable(value: Any) -> bool:
        kinds = [bool if isinstance(one, bool) else str if isinstance(one, str) else float for one in (value, operand)]
        return kinds[0] is kinds[1]

    if operator == "$exists":
        return bool(values) == operand
    if operator in ("$eq", "$ne"):
        return any(same(value, operand) for value in values) == (operator == "$eq")
    if operator in ("$in", "$nin"):
        return any(same(value, one) for value in values for one in operand) == (operator == "$in")
    ordered = {"$gt": "__gt__", "$gte": "__ge__", "$lt": "__lt__", "$lte": "__le__"}[operator]
    return any(getattr(value, ordered)(operand) is True for value in map(_to_float, values) if comparable(value))


def _to_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("year > 2020", "`filter` must be an object of metadata keys and conditions, such as {\"language\": \"en\"}. "
         "Received: 'year > 2020'."),
        ([{"a": 1}], "`filter` must be an object of metadata keys and conditions"),
        ({1: 2}, "The keys of `filter` must be strings. Received: 1."),
        ({"$nor": []}, "`filter` must have metadata keys, or $and, $or, $not, here. Received: '$nor'."),
        ({"$eq": 1}, "`filter` must have metadata keys, or $and, $or, $not, here. Received: '$eq'."),
        ({"$and": {}}, "`$and` of `filter` must be a list of filters. Received: an object."),
        ({"$or": []}, "`$or` of `filter` must be a list of filters. Received: an empty list."),
        ({"$and": [1]}, "`filter` must be an object of metadata keys and conditions"),
        ({"$not": [{"a": 1}]}, "`filter` must be an object of metadata keys and conditions"),
        ({"a": {}}, "`filter`'s key 'a' must have a value or a condition, such as {\"$gte\": 1}. Received: {}."),
        ({"a": {"name": "Ann"}}, "`filter`'s key 'a' must be compared by one of $eq, $ne, $gt, $gte, $lt, $lte, $in, "
         "$nin, $exists. Received: 'name'. The key of a value in an inner object is its path, such as"),
        ({"a": {"$regex": "x"}}, "Received: '$regex'."),
        ({"a": None}, "`filter`'s key 'a' must be compared with a string, a finite number, true or false. Received: "
         "null. In a filter, a missing value is {\"$exists\": false}."),
        ({"a": [1, 2]}, "Received: a list. In a filter, several values are {\"$in\": [...]}."),
        ({"a": float("nan")}, "Received: nan."),
        ({"a": {"$gt": float("inf")}}, "Received: inf."),
        ({"a": {"$in": 3}}, "`$in` of `filter`'s key 'a' must be a list of values. Received: 3."),
        ({"a": {"$in": [[1]]}}, "Received: a list."),
        ({"a": {"$exists": 1}}, "`$exists` of `filter`'s key 'a' must be true or false. Received: 1."),
        ({"a": {"$gt": True}}, "`$gt` of `filter`'s key 'a' must be a number or a string. Received: true. Booleans"),
        ({"a": {"$in": list(range(10_001))}}, "`filter` must have at most 10,000 values. Received: more. Use ranges."),
    ],
    ids=[f"case{number}" for number in range(21)],
)  # fmt: skip
def test_a_wrong_filter_is_one_clear_error(condition: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_filter(condition)


def test_deep_filters_are_refused() -> None:
    condition: Any = {"a": 1}
    for _ in range(500):
        condition = {"$not": condition}
    with pytest.raises(InputError, match="`filter` must be nested at most 20 levels deep. Received: more. Flatten it."):
        parse_filter(condition)


def test_masks_are_kept_for_the_filters_asked_for_last() -> None:
    masks = FilterMasks(MetadataColumns([{"a": 1}, {"a": True}]))
    first = masks.find(parse_filter({"a": 1}))
    assert masks.find(parse_filter({"a": {"$eq": 1.0}})) is first
    assert masks.find(parse_filter({"a": True})).tolist() == [False, True]  # 1 == True in Python, not in a filter
    masks._most = 2
    for value in (2, 3):
        masks.find(parse_filter({"a": value}))
    assert masks.find(parse_filter({"a": 1})) is not first


def test_masks_of_many_documents_take_a_bounded_memory() -> None:
    class Many:
        num_documents = MASK_BYTES // 3

        def column(self, key: str) -> None: ...

    assert FilterMasks(Many())._most == 3
