"""The catalogue: items added and removed, histories that follow, and its folder."""

from pathlib import Path

import numpy as np
import pytest

from tests.interaction_rows import make_world
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.filters.filter import parse_filter
from tfchain.data.interactions.reading import read_interactions
from tfchain.data.interactions.tables import read_table
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue, check_catalogue, make_catalogue
from tfchain.tasks.recommendation.catalogue_folder import CatalogueFolder, read_catalogue, write_catalogue

WORLD = make_world()


@pytest.fixture(scope="module")
def model() -> RecommendationModel:
    return RecommendationModel(RecommendationConfig(dim=8, max_history=4, history="mean", ridge=1.0)).for_data(WORLD)


@pytest.fixture
def catalogue() -> Catalogue:
    return make_catalogue(WORLD)


def test_histories_are_found_by_user(catalogue: Catalogue) -> None:
    assert [catalogue.items.ids[row] for row in catalogue.history("u2")] == ["i1", "i2", "i3", "i4", "i5"]
    assert len(catalogue.history("nobody")) == len(catalogue.history(None)) == 0


def test_items_are_added_and_replaced_without_computing_the_others(
    catalogue: Catalogue, model: RecommendationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalogue.vectors(model)
    rows = [
        {"item": "new", "title": "a", "genres": "Drama", "year": 1999},
        {"item": "i0", "title": "b", "genres": "Drama", "year": 1990},
    ]
    asked: list[int] = []
    encode = model.item_inputs
    monkeypatch.setattr(model, "item_inputs", lambda items: asked.append(len(items)) or encode(items))
    added = catalogue.add(read_table(rows, name="items", id_columns=("item",), like=WORLD.items), model)
    vectors = added.vectors(model)
    assert asked == [2]
    assert (added.items.ids[-1], len(added.items), len(catalogue.items)) == ("new", 13, 12)
    assert added.items.row(0)["genres"] == ("Drama",)
    np.testing.assert_array_equal(vectors[1:12], before[1:])
    assert (vectors[0] != before[0]).any()
    assert (added.popularity[-1], added.popularity[0]) == (0, catalogue.popularity[0])
    assert added.history("u0").tolist() == catalogue.history("u0").tolist()


def test_items_are_removed_from_histories_too(catalogue: Catalogue, model: RecommendationModel) -> None:
    before = catalogue.vectors(model)
    left = catalogue.remove(["i2", "i7"])
    assert [left.items.ids[row] for row in left.history("u2")] == ["i1", "i3", "i4", "i5"]
    for user in WORLD.users.ids:
        expected = [catalogue.items.ids[row] for row in catalogue.history(user)]
        found = [left.items.ids[row] for row in left.history(user)]
        assert found == [id for id in expected if id not in ("i2", "i7")]
    np.testing.assert_array_equal(left.vectors(model), before[[0, 1, 3, 4, 5, 6, 8, 9, 10, 11]])
    with pytest.raises(InputError, match="must be items of the chain. Received: 'nobody'"):
        catalogue.remove(["nobody"])
    with pytest.raises(InputError, match="At least one item must be left"):
        catalogue.remove(list(catalogue.items.ids))


def test_a_catalogue_is_written_and_read(catalogue: Catalogue, model: RecommendationModel, tmp_path: Path) -> None:
    vectors = catalogue.vectors(model)
    write_catalogue(catalogue, tmp_path, with_vectors=True)
    read = read_catalogue(tmp_path)
    assert read.fingerprint == catalogue.fingerprint
    assert read.known.fingerprint == model.fingerprint
    np.testing.assert_array_equal(read.vectors(model), vectors)
    (tmp_path / "tables.json").write_text("{")
    with pytest.raises(IndexFolderError, match="is damaged: .* Save the chain there again"):
        read_catalogue(tmp_path)


def test_no_catalogue_is_no_state() -> None:
    with pytest.raises(InputError, match="has no items yet. Call `fit`"):
        check_catalogue(None)


def test_true_and_false_are_found_as_they_were_given_and_as_text() -> None:
    items = [{"item": "a", "new": True}, {"item": "b", "new": False}, {"item": "c", "new": None}]
    catalogue = make_catalogue(read_interactions([{"user": "u", "item": "a"}], None, items))
    for filter, expected in (
        ({"new": True}, [True, False, False]),
        ({"new": "False"}, [False, True, False]),
        ({"new": {"$ne": True}}, [False, True, True]),
        ({}, [True, True, True]),
    ):
        assert catalogue.masks.find(parse_filter(filter)).tolist() == expected


def test_a_catalogue_without_columns_is_filtered() -> None:
    catalogue = make_catalogue(read_interactions([{"user": "u", "item": "a"}]))
    assert catalogue.masks.find(parse_filter({"genres": "Drama"})).tolist() == [False]


def test_titles_with_a_bar_are_shown_as_they_are() -> None:
    items = [{"item": "a", "title": "Face|Off"}, {"item": "b", "title": "Heat"}, {"item": "c", "title": None}]
    assert make_catalogue(read_interactions([{"user": "u", "item": "a"}], None, items)).titles == [
        "Face|Off", "Heat", "c",
    ]  # fmt: skip


def test_a_save_that_is_refused_leaves_the_segment_of_the_other(
    catalogue: Catalogue, model: RecommendationModel, tmp_path: Path
) -> None:
    first, second = (CatalogueFolder(tmp_path, "recommendation") for _ in range(2))
    first.save(model, catalogue, {})
    second.save(model, catalogue.remove(["i0"]), {})
    with pytest.raises(IndexFolderError, match="was saved by another process"):
        first.save(model, catalogue.remove(["i1"]), {})
    (segment,) = tmp_path.glob("segment-*")
    assert "i0" not in read_catalogue(segment).item_rows
