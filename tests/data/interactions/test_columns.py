"""The kinds of columns, found in their values."""

import datetime
import decimal
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.interactions.columns import change_kind, check_kinds, clean, convert, infer_kind, to_seconds


def test_kinds_are_inferred() -> None:
    assert infer_kind([1, 2.5, None]) == "number"
    assert infer_kind(["1", "2.5"]) == "number"
    assert infer_kind([True, False]) == "category"
    assert infer_kind(["red", "blue"]) == "category"
    assert infer_kind(["Comedy|Drama", "Drama"]) == "categories"
    assert infer_kind([["a", "b"], []]) == "categories"
    assert infer_kind(["Toy Story (1995)", "Heat (1995)"]) == "text"
    assert infer_kind([f"word{number}" for number in range(1001)]) == "text"
    assert infer_kind([datetime.date(2020, 1, 1)]) == "timestamp"
    assert infer_kind([None, None]) is None


def test_values_become_those_of_their_kind() -> None:
    assert convert(["a|b", None, ["c"]], "categories", "genres", "items") == [("a", "b"), (), ("c",)]
    assert convert(["1.5", None, 2], "number", "price", "items") == [1.5, None, 2.0]
    assert convert([7, None], "category", "color", "items") == ["7", None]
    with pytest.raises(InputError, match=r"items\[1\]: the column `price` must hold .* kind number. Received: 'cheap'"):
        convert(["1", "cheap"], "number", "price", "items")


def test_moments_become_seconds() -> None:
    assert to_seconds("1970-01-02") == 86400.0
    assert to_seconds(datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.UTC)) == 3600.0
    assert to_seconds(np.datetime64("1970-01-01T00:01:00")) == 60.0
    assert to_seconds("964982703") == 964982703.0
    for value in ("soon", None, True, float("nan")):
        with pytest.raises((TypeError, ValueError)):
            to_seconds(value)


def test_what_is_missing_is_none() -> None:
    assert [clean(value) for value in (float("nan"), "", None, np.int64(3))] == [None, None, None, 3]


def test_named_kinds_must_exist() -> None:
    with pytest.raises(InputError, match="must be one of category, .* Received: 'word'"):
        check_kinds({"title": "word"}, ["title"], "items")
    with pytest.raises(InputError, match="`kinds` must name columns of `items`, which has title. Received: 'year'"):
        check_kinds({"year": "number"}, ["title"], "items")


def test_a_set_has_the_same_order_in_each_process() -> None:
    words = {f"word{number}" for number in range(20)}
    assert convert([words], "categories", "tags", "items") == [tuple(sorted(words))]


def test_what_is_missing_in_a_list_is_no_category() -> None:
    assert convert([["a", float("nan"), None]], "categories", "tags", "items") == [("a",)]


def test_decimals_are_numbers() -> None:
    prices = [decimal.Decimal("1.50"), None]
    assert (infer_kind(prices), convert(prices, "number", "price", "items")) == ("number", [1.5, None])


@pytest.mark.parametrize("kind", ["category", "categories", "text"])
def test_a_text_that_no_file_can_hold_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match=r"items\[1\]: the column `title` must hold values of the kind"):
        convert(["a", "b\ud800"], kind, "title", "items")


def test_values_change_their_kind_where_nothing_is_lost() -> None:
    assert change_kind(["a", None], "category", "categories", "genres", "items") == [("a",), ()]
    assert change_kind([("Face", "Off"), ()], "categories", "text", "title", "items") == ["Face|Off", None]
    assert change_kind([1.0], "number", "timestamp", "year", "items") == [1.0]
    with pytest.raises(InputError, match=r"`code` of `items` must be of the kind .* category. Received: number"):
        change_kind([7.0], "number", "category", "code", "items")
    with pytest.raises(InputError, match=r"items\[0\]: the column `year` must hold values of the kind number"):
        change_kind(["y1990"], "category", "number", "year", "items")
