"""Texts with targets from lists, files and Hugging Face datasets, whatever a target is."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.data.files.place import Place
from tfchain.tasks.row_reader import read_text_rows
from tfchain.tasks.text_rows import TextRows


def to_number(value: Any, place: Place) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{place}: expected a number. Received: {value!r}.") from None


def read(source: Any, **options: Any) -> TextRows:
    return read_text_rows(source, to_number, **{"names": ("stars", "rating"), **options})


class HubDataset:
    """What is used of `datasets.Dataset`."""

    def __init__(self, columns: dict[str, list[Any]], **features: Any) -> None:
        self.columns = columns
        self.column_names = list(columns)
        self.features = features
        self.formats: list[Any] = []

    def with_format(self, kind: Any) -> "HubDataset":
        self.formats.append(kind)
        return self

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        for start in range(0, len(self.columns["text"]), 2):
            yield {name: values[start : start + 2] for name, values in self.columns.items()}


ROWS = TextRows(["a", "b", "c"], [1.0, 2.5, 3.0])


def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("stars,text\n1,a\n2.5,b\n3,c\n")
    (tmp_path / "rows.jsonl").write_text(
        '{"text": "a", "rating": 1}\n{"text": "b", "rating": "2.5"}\n{"text": "c", "rating": 3}\n'
    )
    dataset = HubDataset({"text": ["a", "b", "c"], "stars": [1, 2.5, 3]})
    for source in (
        [("a", 1), ["b", "2.5"], {"text": "c", "rating": 3}],
        iter([("a", 1), ("b", 2.5), ("c", 3)]),
        tmp_path / "rows.csv",
        str(tmp_path / "rows.jsonl"),
        dataset,
        ROWS,
    ):
        assert read(source) == ROWS
    assert read(ROWS) is ROWS
    assert dataset.formats == [None]  # a user's format would give tensors


def test_a_class_label_is_its_name_and_a_split_is_chosen() -> None:
    columns = {"text": ["a", "b", "c"], "stars": [1, 0, 1]}
    labelled = HubDataset(columns, stars=SimpleNamespace(names=["2.5", "3"]))
    assert read(labelled).targets == [3.0, 2.5, 3.0]

    class DatasetDict(dict):
        column_names = None

    splits = DatasetDict(train=HubDataset({"text": ["t"], "stars": [1]}), test=labelled)
    assert read(splits).texts == ["t"]
    assert read(splits, split="test").texts == ["a", "b", "c"]
    with pytest.raises(InputError, match="The dataset has no split 'dev'. Its splits: train, test"):
        read(splits, split="dev")


def test_pairs_are_read_and_never_mixed_with_single_texts() -> None:
    assert read([("a", "b", 1)]) == TextRows(["a"], [1.0], ["b"])
    with pytest.raises(InputError, match=r"dataset\[1\]: expected `text_pair` in all rows or in none"):
        read([("a", "b", 1), ("a", 1)])


@pytest.mark.parametrize(("source", "message"), [
    ([], "The dataset must have at least one row. Received: an empty list"),
    ([("a", 1), ("", 1)], r"dataset\[1\]: `text` must be a text that is not empty. Received: '' of type str"),
    ([("a", " ", 1)], r"dataset\[0\]: `text_pair` must be a text that is not empty"),
    ([(7, 1)], r"dataset\[0\]: `text` must be a text that is not empty. Received: 7 of type int"),
    ([("a", "x")], r"dataset\[0\]: expected a number. Received: 'x'"),
    ([("a",)], r"dataset\[0\]: `dataset` must be a list of \(text, stars\) tuples, .*Received: \('a',\) of tuple"),
    ([{"text": "a"}], r"dataset\[0\]: expected the columns `text` and `stars` .*Received: text. Rename"),
    ([{"text": "a", "stars": 1, "rating": 1}], "expected the columns"),
    ({"a": 1}, "`dataset` must be a list of .*Received: dict"),
    (b"a", "Received: bytes"),
    (7, "Received: int"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_row(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(source)


def test_an_empty_cell_of_a_file_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,stars\na,1\nb,\n")
    with pytest.raises(InputError, match=r"rows.csv:3: expected a number. Received: ''"):
        read(tmp_path / "rows.csv")
