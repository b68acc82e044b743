"""Columns as the arrays that towers read."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.interactions.tables import Table, read_table
from tfchain.models.recommendation.features import Feature, fit_features, make_inputs

ROWS = [
    {"id": "a", "genres": "x|y", "color": "red", "year": 2.0, "title": "one two"},
    {"id": "b", "genres": "y", "color": None, "year": 4.0, "title": "three four"},
]
TABLE = read_table(ROWS, name="items", id_columns=("id",))


def test_features_learn_vocabularies_and_moments() -> None:
    found = {feature.name: feature for feature in fit_features(TABLE, None, name="items", text_dim=3)}
    assert found["genres"].values == ("y", "x")  # the most frequent first
    assert (found["year"].mean, found["year"].scale) == (3.0, 1.0)
    assert found["title"].dim == 3
    assert Feature(**found["genres"].to_dict()) == found["genres"]


def test_inputs_are_numbers_and_what_is_unknown_is_zero() -> None:
    features = fit_features(TABLE, ["genres", "color", "year", "title"], name="items", text_dim=2)
    other = Table(
        ["b", "new"], {"genres": [("x", "z"), ()], "color": ["red", "blue"], "year": [5.0, None]}, TABLE.kinds
    )
    inputs = make_inputs(other, features, {"a": 1, "b": 2}, lambda texts: np.array([[len(text), 1] for text in texts]))
    assert inputs["id"].tolist() == [2, 0]
    assert inputs["feature_0"].tolist() == [[2], [0]]  # z is unknown
    assert inputs["feature_1"].tolist() == [1, 0]
    assert inputs["feature_2"].tolist() == [[2.0, 1.0], [0.0, 0.0]]  # (5 - 3) / 1, and whether it is known
    assert inputs["feature_3"].tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_texts_need_an_encoder_and_columns_must_exist() -> None:
    assert [feature.name for feature in fit_features(TABLE, None, name="items")] == ["genres", "color", "year"]
    with pytest.raises(InputError, match="The text `title` of items needs an encoder of texts"):
        fit_features(TABLE, ["title"], name="items")
    with pytest.raises(InputError, match="Received: none named 'length', of genres, color, year, title"):
        fit_features(TABLE, ["length"], name="items")
