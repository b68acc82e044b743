"""Tables of users and items."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.data.interactions.tables import Table, read_table

ROWS = [{"id": 1, "name": "a b", "tags": "x|y"}, {"id": "2", "name": "c d", "tags": None}]


def test_a_table_has_ids_and_columns_of_known_kinds() -> None:
    table = read_table(ROWS, name="items", id_columns=("item", "id"))
    assert list(table.ids) == ["1", "2"]
    assert table.kinds == {"name": "text", "tags": "categories"}
    assert table.row(0) == {"name": "a b", "tags": ("x", "y")}
    assert Table.from_plain(table.to_plain()) == table
    assert table.take([1]).ids == ["2"]


def test_a_named_kind_replaces_the_inferred_one() -> None:
    table = read_table(ROWS, name="items", id_columns=("id",), kinds={"name": "category"})
    assert table.kinds["name"] == "category"


def test_rows_are_appended_with_what_they_lack_missing() -> None:
    table = read_table(ROWS, name="items", id_columns=("id",)).append(Table(["3"]))
    assert (list(table.ids), table.row(2)) == (["1", "2", "3"], {"name": None, "tags": ()})


def test_files_give_the_same_table_as_lists(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,name,tags\n1,a b,x|y\n2,c d,\n")
    (tmp_path / "items.jsonl").write_text('{"id": 1, "name": "a b", "tags": "x|y"}\n{"id": 2, "name": "c d"}\n')
    expected = read_table(ROWS, name="items", id_columns=("id",))
    for name in ("items.csv", "items.jsonl"):
        assert read_table(tmp_path / name, name="items", id_columns=("id",)) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "`items` must have at least one row. Received: none"),
        ([{"name": "a"}], "`items` must have a column named 'id'. Received the columns: name"),
        ([{"id": "a"}, {"id": None}], r"items\[1\]: the column `id` must hold an id. Received: nothing"),
        ([{"id": "a"}, {"id": "a"}], r"items\[1\]: each id of `items` must come once. Received: 'a' again"),
        ([("a", "b")], r"items\[0\]: expected a dict of column and value. Received: \('a', 'b'\)"),
        (7, "`items` must be the path of a .csv, .* Received: int"),
    ],
)
def test_what_is_no_table_is_refused(rows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(rows, name="items", id_columns=("id",))


def test_a_table_like_another_has_its_columns() -> None:
    like = read_table(ROWS, name="items", id_columns=("id",))
    table = read_table([{"id": 9, "name": "e f", "tags": "x", "more": 1}], name="items", id_columns=("id",), like=like)
    assert table.kinds == like.kinds
    with pytest.raises(InputError, match="must have the columns that the model was trained with: name, tags"):
        read_table([{"id": 9, "name": "e f"}], name="items", id_columns=("id",), like=like)


def test_a_table_made_in_python_is_checked_as_a_list_is() -> None:
    like = read_table(ROWS, name="items", id_columns=("id",))
    made = Table(["9"], {"name": ["e f"], "tags": ["x"]}, {"name": "text", "tags": "category"})
    assert read_table(made, name="items", id_columns=("id",), like=like).row(0) == {"name": "e f", "tags": ("x",)}
    assert read_table(made, name="items", id_columns=("id",), kinds={"tags": "categories"}).row(0)["tags"] == ("x",)
    with pytest.raises(InputError, match="Received: none named 'tags'"):
        read_table(Table(["9"], {"name": ["e f"]}, {"name": "text"}), name="items", id_columns=("id",), like=like)


def test_an_id_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"items\[0\]: an id in the column `id` must be Unicode"):
        read_table([{"id": "a\ud800"}], name="items", id_columns=("id",))
