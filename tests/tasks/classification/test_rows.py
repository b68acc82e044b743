"""Labelled texts from files, lists and Hugging Face datasets."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.classification.rows import read_rows
from tfchain.tasks.text_rows import TextRows


class HubDataset:
    """What is used of `datasets.Dataset`."""

    def __init__(self, columns: dict[str, list[Any]], names: list[str] | None = None) -> None:
        self.columns = columns
        self.column_names = list(columns)
        self.features = {"label": SimpleNamespace(names=names)} if names else {}

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        yield self.columns


def test_rows_of_every_form_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('text,label\n"a, b",yes\nc,no\n')
    (tmp_path / "rows.tsv").write_text("label\ttext\nyes\ta, b\nno\tc\n")
    (tmp_path / "rows.jsonl").write_text('{"text": "a, b", "label": "yes"}\n{"text": "c", "label": "no", "id": 7}\n')
    expected = TextRows(["a, b", "c"], [("yes",), ("no",)])
    for source in (
        tmp_path / "rows.csv",
        str(tmp_path / "rows.tsv"),
        tmp_path / "rows.jsonl",
        [("a, b", "yes"), ("c", "no")],
        ({"text": text, "label": label} for text, label in (("a, b", "yes"), ("c", "no"))),
        HubDataset({"text": ["a, b", "c"], "label": ["yes", "no"]}),
        HubDataset({"text": ["a, b", "c"], "label": [1, 0]}, ["no", "yes"]),
    ):
        assert read_rows(source) == expected


def test_banking77_is_read(shared_data: Path) -> None:
    rows = read_rows(shared_data / "banking77" / "train.csv")
    assert (len(rows), len(set(rows.targets))) == (10003, 77)
    assert (rows.texts[0], rows.targets[0]) == ("I am still waiting on my card?", ("card_arrival",))


def test_pairs_of_texts_are_read() -> None:
    expected = TextRows(["a"], [("same",)], ["b"])
    assert read_rows([("a", "b", "same")]) == expected
    assert read_rows([{"text": "a", "text_pair": "b", "label": "same"}]) == expected
    assert expected.join(" [SEP] ") == ["a [SEP] b"]


def test_labels_that_look_like_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,1\nb,010\n")
    assert read_rows(tmp_path / "rows.csv").targets == [("1",), ("010",)]
    assert read_rows([("a", 1), ("b", True)]).targets == [("1",), ("True",)]


def test_several_labels_come_as_lists_or_as_json_in_a_cell(tmp_path: Path) -> None:
    rows = [("a", ["y", "x", "y"]), ("b", []), ("c", "x")]
    assert read_rows(rows, multi_label=True).targets == [("x", "y"), (), ("x",)]
    (tmp_path / "rows.csv").write_text('text,labels\na,"[""y"", ""x""]"\nb,\nc,x\n')
    assert read_rows(tmp_path / "rows.csv", multi_label=True).targets == [("x", "y"), (), ("x",)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one row. Received: an empty list"),
        ([("a", "x"), (" ", "x")], r"dataset\[1\]: `text` must be a text that is not empty"),
        ([("a", None)], r"dataset\[0\]: a label must be a text, a whole number or a boolean. Received: None"),
        ([("a", 0.5)], "Received: 0.5 of type float"),
        ([("a", ["x"])], "expected one label. Received: .*multi_label=True"),
        ([("a",)], r"must be a list of \(text, label\) tuples"),
        ([{"text": "a"}], "expected the columns `text` and `label`.*Received: text"),
        ([("a", "b", "x"), ("a", "x")], "expected `text_pair` in all rows or in none"),
        (
            [{"text": "a", "label": "x", "labels": "y"}],
            "expected the columns `text` and `label`.*Received: text, label",
        ),
        ({"text": "a"}, "Received: dict"),
        (HubDataset({"text": ["a"], "label": [-1]}, ["no", "yes"]), "a label must be a text"),
    ],
)
def test_rows_that_cannot_be_read_are_named_with_their_place(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(rows)
