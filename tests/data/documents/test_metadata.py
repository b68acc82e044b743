"""Metadata is what a saved chain can hold, or is refused by its place before anything is encoded."""

import datetime
import decimal
import json
import types
import uuid
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.reading import read_documents


class NotATime(datetime.datetime):
    """Stands in for pandas' NaT: a datetime that is unlike itself, and writes itself as `NaT`."""

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.datetime.__hash__

    def isoformat(self, *args: Any, **options: Any) -> str:
        return "NaT"


class NAType:
    """Stands in for pandas' NA: its comparisons are neither true nor false."""

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


def nest(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


def round_trip(metadata: Any) -> Any:
    """What a save and a load give back, written as `tfchain.tasks.search.index_folder` writes it."""
    (document,) = read_documents([Document("a", "x", metadata=metadata)])
    written = json.dumps(asdict(document), ensure_ascii=False, allow_nan=False).encode("utf-8")
    found = json.loads(written)["metadata"]
    assert found == document.metadata
    return found


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (10**4000, 10**4000),
        (1e308, 1e308),
        (float("nan"), None),
        (np.float32("nan"), None),
        (decimal.Decimal("NaN"), None),
        (np.datetime64("NaT"), None),
        (np.timedelta64("NaT"), None),
        (NotATime(2024, 1, 1), None),
        (NAType(), None),
        ([1.5, float("nan"), np.datetime64("NaT")], [1.5, None, None]),
        (np.array([[1, 2]]), [[1, 2]]),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), "2024-01-02T00:00:00+00:00"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.datetime64("2024-01-02T03:04:05.000000000"), "2024-01-02T03:04:05"),
        (np.datetime64("2024-01-02T03:04:05.123456789"), "2024-01-02T03:04:05.123456789"),
        (np.datetime64("10000-01-02T00", "us"), "10000-01-02T00:00:00.000000"),
        (
            np.array(["2024-01-02", "NaT"], dtype="datetime64[ns]"),
            ["2024-01-02T00:00:00", None],
        ),
        (np.array("2024-01-02", dtype="datetime64[D]"), "2024-01-02"),
        (nest(99), nest(99)),
        ({"a": {"b": nest(97)}}, {"a": {"b": nest(97)}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_from_a_save_as_json_holds_it(value: Any, kept: Any) -> None:
    assert round_trip({"key": value}) == {"key": kept}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"name": "half \ud83d"},
            r"metadata 'name' must be valid Unicode. Received: a lone surrogate '\\ud83d' at char",
        ),
        ({"a": {"b": ["\udc00"]}}, r"metadata 'a.b\[0\]' must be valid Unicode"),
        ({"\ud83d": 1}, r"metadata keys must be valid Unicode. Received: a lone surrogate"),
        ({"a": {"\ud83d": 1}}, r"metadata keys \(here 'a'\) must be valid Unicode"),
        (
            {"n": 10**5000},
            r"metadata 'n' must be a number .* at most 4,300 digits. Received: a whole number of 16,610 bits",
        ),
        ({"n": [-(10**5000)]}, r"metadata 'n\[0\]' must be a number"),
        ({"deep": nest(100)}, r"metadata 'deep\[0\]\[0\].*… must be nested at most 100 levels deep"),
        ({"deep": {"a": {"b": nest(98)}}}, r"metadata 'deep.a.b\[0\].*… must be nested at most 100 levels deep"),
        ({"n": np.float64("-inf")}, r"metadata 'n' must be something that JSON can hold. Received: -inf"),
        ({"n": b"bytes"}, r"metadata 'n' must be .* of type bytes"),
        ({"n": {1}}, r"metadata 'n' must be .* of type set"),
        ({"n": np.timedelta64(5, "ns")}, r"metadata 'n' must be .* of type timedelta64"),
        ({"n": datetime.timedelta(1)}, r"metadata 'n' must be .* of type timedelta"),
        ({"n": 1j}, r"metadata 'n' must be .* of type complex"),
        ({"n": {(1, 2): 3}}, r"metadata keys must be strings. Received: \(1, 2\) of type tuple in 'n'"),
        (["a"], r"`metadata` must be a dict. Received: \['a'\] of type list"),
        (None, r"`metadata` must be a dict. Received: None"),
    ],
    ids=lambda value: None if isinstance(value, str) else "metadata",
)
def test_metadata_that_no_save_could_write_is_refused_with_its_place(metadata: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"^documents\[1\]: .*" + message):
        list(read_documents([Document("a", "x"), Document("b", "y", metadata=metadata)]))


def test_a_list_that_holds_itself_ends_in_an_error() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(InputError, match="nested at most 100 levels"):
        list(read_documents([{"text": "x", "ring": ring}]))


def test_json_nested_too_deep_for_python_tells_its_line(tmp_path: Any) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "x", "a": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    with pytest.raises(InputError, match=r"d\.jsonl:1: JSON nested too deep"):
        list(read_documents(tmp_path / "d.jsonl"))
    (tmp_path / "d.jsonl").write_text('{"text": "x", "a": ' + "[" * 300 + "]" * 300 + "}\n")
    with pytest.raises(InputError, match=r"d\.jsonl:1: metadata 'a\[0\].* at most 100 levels"):
        list(read_documents(tmp_path / "d.jsonl"))


def test_numbers_beyond_a_float_in_json_tell_their_line(tmp_path: Any) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "x", "n": 1e400}\n')
    with pytest.raises(InputError, match=r"d\.jsonl:1: metadata 'n' must be .* Received: inf"):
        list(read_documents(tmp_path / "d.jsonl"))
    (tmp_path / "d.jsonl").write_text('{"text": "x", "n": ' + "9" * 5000 + "}\n")
    with pytest.raises(InputError, match=r"d\.jsonl:1: broken JSON: Exceeds the limit"):
        list(read_documents(tmp_path / "d.jsonl"))


def test_the_same_key_outside_and_inside_of_metadata_is_the_inner_one() -> None:
    (document,) = read_documents([{"text": "x", "year": 1, "metadata": {"year": 2}}])
    assert document.metadata == {"year": 2}
