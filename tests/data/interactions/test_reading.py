"""Reading interactions, from what users have them in, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.interactions.reading import InteractionOptions, read_interactions

ROWS = [
    {"user": "b", "item": "x", "timestamp": 5},
    {"user": "a", "item": "x", "timestamp": 9},
    {"user": "a", "item": "y", "timestamp": 2},
]


def test_interactions_are_sorted_by_user_and_time() -> None:
    read = read_interactions(ROWS)
    assert (list(read.users.ids), list(read.items.ids)) == (["b", "a"], ["x", "y"])
    assert read.user_rows.tolist() == [0, 1, 1]
    assert read.item_rows.tolist() == [0, 1, 0]
    assert read.of_user(1).tolist() == [1, 0]
    assert read.popularity.tolist() == [2, 1]


def test_without_times_the_rows_order_counts() -> None:
    read = read_interactions([{"user": row["user"], "item": row["item"]} for row in ROWS])
    assert read.times is None
    assert read.of_user(1).tolist() == [0, 1]


def test_interactions_at_the_same_moment_are_not_in_the_order_of_the_file() -> None:
    rows = [{"user": "a", "item": str(number), "timestamp": 1} for number in range(20)]
    found = read_interactions(rows).item_rows.tolist()
    assert sorted(found) == list(range(20)) != found
    assert read_interactions(list(reversed(rows))).fingerprint != read_interactions(rows).fingerprint  # the items' rows
    names = [[read.items.ids[row] for row in read.item_rows] for read in map(read_interactions, (rows, rows[::-1]))]
    assert names[0] == names[1]


def test_a_folder_like_movielens_is_read(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,1.0,200\n2,10,5.0,50\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n10,"Toy Story, the (1995)",Comedy|Drama\n20,Heat One,Drama\n'
    )
    read = read_interactions(tmp_path)
    assert (len(read), read.items.row(0)) == (3, {"title": "Toy Story, the (1995)", "genres": ("Comedy", "Drama")})
    liked = read_interactions(tmp_path, options=InteractionOptions(least_rating=3.0))
    assert (len(liked), len(liked.items)) == (2, 2)
    assert read_interactions({"interactions": tmp_path / "ratings.csv"}).items.columns == {}


def test_movielens_small_is_read(shared_data: Path) -> None:
    read = read_interactions(shared_data / "ml_latest_small")
    assert (len(read), len(read.users), len(read.items)) == (100836, 610, 9742)  # its README
    assert read.items.kinds == {"title": "text", "genres": "categories"}


def test_a_data_frame_is_read() -> None:
    pandas = pytest.importorskip("pandas")
    assert read_interactions(pandas.DataFrame(ROWS)).fingerprint == read_interactions(ROWS).fingerprint


def test_of_duplicates_one_counts_if_that_is_asked_for() -> None:
    rows = [*ROWS, {"user": "a", "item": "y", "timestamp": 20}]
    with pytest.raises(
        InputError, match=r"interactions\[3\]: a user must have each item once. .* 'a' and the item 'y'"
    ):
        read_interactions(rows)
    last = read_interactions(rows, options=InteractionOptions(duplicates="last"))
    first = read_interactions(rows, options=InteractionOptions(duplicates="first"))
    assert (last.of_user(1).tolist(), first.of_user(1).tolist()) == ([0, 1], [1, 0])
    assert np.array_equal(first.times, read_interactions(ROWS).times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "`interactions` must have at least one row. Received: none"),
        ([{"item": "x"}], "`interactions` must have a column named 'user' or 'user_id' or 'userId'"),
        ([{"user": "a"}], "`interactions` must have a column named 'item'"),
        ([{"user": float("nan"), "item": "x"}], r"interactions\[0\]: the column `user` must hold an id. .*nothing"),
        ([{**ROWS[0], "timestamp": float("nan")}], r"interactions\[0\]: the column `timestamp` must .*nothing"),
        ([{**ROWS[0], "timestamp": "soon"}], r"interactions\[0\]: the column `timestamp` must hold a time.*'soon'"),
        ([{**ROWS[0], "item": "z"}], r"interactions\[0\]: each id in the column `item` must be in the table of items"),
    ],
)
def test_bad_interactions_are_refused_with_their_row(rows: list[dict[str, object]], message: str) -> None:
    items = [{"item": "x"}, {"item": "y"}] if rows and rows[0].get("item") == "z" else None
    with pytest.raises(InputError, match=message):
        read_interactions(rows, items=items)


def test_bad_options_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`duplicates` must be one of error, first, last"):
        InteractionOptions(duplicates="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must hold a file named interactions or ratings"):
        read_interactions(tmp_path)
    with pytest.raises(InputError, match="The dict must have interactions, users, items. Received: 'tags'"):
        read_interactions({"interactions": ROWS, "tags": []})
    with pytest.raises(InputError, match=r"interactions\[0\]: the column `rating` must hold a number. Received: None"):
        read_interactions([{**ROWS[0], "rating": None}], options=InteractionOptions(least_rating=3.0))
    for rating in ("nan", None):
        row = {**ROWS[0], "rating": rating}
        with pytest.raises(InputError, match=r"interactions\[0\]: the column `rating` must hold a number"):
            read_interactions([row], options=InteractionOptions(least_rating=3.0))
    with pytest.raises(InputError, match="`least_rating` must be a number. Received: least_rating='3'"):
        InteractionOptions(least_rating="3")  # type: ignore[arg-type]


def test_what_would_have_no_effect_is_refused() -> None:
    with pytest.raises(InputError, match="`item_kinds` need a table of items"):
        read_interactions(ROWS, options=InteractionOptions(item_kinds={"year": "category"}))
    for more in ({"items": [{"item": "x"}]}, {"options": InteractionOptions(duplicates="last")}):
        with pytest.raises(InputError, match="`Interactions` have their users and items"):
            read_interactions(read_interactions(ROWS), **more)  # type: ignore[arg-type]


def test_ids_that_no_file_can_hold_are_refused() -> None:
    with pytest.raises(InputError, match=r"interactions\[0\]: an id in the column `item` must be Unicode"):
        read_interactions([{**ROWS[0], "item": "x\ud800"}])
