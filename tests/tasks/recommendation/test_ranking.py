"""Ranking: products of vectors, what is left out, and ties."""

import numpy as np
import pytest

from tests.interaction_rows import make_world
from tfchain.core.errors import InputError
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import make_catalogue
from tfchain.tasks.recommendation.ranking import ask, rank_items, similar_items

WORLD = make_world(users=False)
CATALOGUE = make_catalogue(WORLD)


@pytest.fixture(scope="module")
def model() -> RecommendationModel:
    return RecommendationModel(RecommendationConfig(dim=8, max_history=3, history="mean", ridge=1.0)).for_data(WORLD)


def test_scores_are_products_and_what_was_taken_is_left_out(model: RecommendationModel) -> None:
    found = rank_items(model, CATALOGUE, ask(CATALOGUE, ["u0"]), top_k=12)
    vectors = CATALOGUE.vectors(model)
    history = CATALOGUE.history("u0")
    user = model.encode_users(vectors, [history], None)[0]
    for row, score in zip(found.rows[0][:7], found.scores[0], strict=False):
        assert score == pytest.approx(float(vectors[row] @ user), abs=1e-5)
    assert set(found.rows[0].tolist()) == {-1, *(set(range(12)) - set(history.tolist()))}
    assert np.isneginf(found.scores[0][7:]).all()
    everything = rank_items(model, CATALOGUE, ask(CATALOGUE, ["u0"]), top_k=20, exclude_seen=False)
    assert sorted(everything.rows[0].tolist()) == list(range(12))


def test_a_given_history_stands_in_place_of_the_known_one(model: RecommendationModel) -> None:
    asked = ask(CATALOGUE, ["u0", None, "u0"], [["i7", "nobody"], ["i7"], []])
    assert [history.tolist() for history in asked.histories] == [[7], [7], CATALOGUE.history("u0").tolist()]
    found = rank_items(model, CATALOGUE, asked, top_k=12)
    assert 7 not in found.rows[0]
    assert not set(found.rows[0].tolist()) & set(CATALOGUE.history("u0").tolist())  # known of the user all the same
    kept = found.rows[0] >= 0
    row = dict(zip(found.rows[1].tolist(), found.scores[1].tolist(), strict=True))
    assert found.scores[0][kept].tolist() == [row[place] for place in found.rows[0][kept].tolist()]


def test_a_filter_leaves_out(model: RecommendationModel) -> None:
    allowed = np.arange(12) >= 10
    found = rank_items(model, CATALOGUE, ask(CATALOGUE, ["u0"]), top_k=3, allowed=allowed)
    assert (sorted(found.rows[0][:2].tolist()), found.rows[0][2]) == ([10, 11], -1)


def test_vectors_in_int8_rank_alike(model: RecommendationModel) -> None:
    small = model.with_vector_storage(VectorStorage("int8"))
    exact = rank_items(model, CATALOGUE, ask(CATALOGUE, ["u0", "u1"]), top_k=5)
    found = rank_items(small, CATALOGUE, ask(CATALOGUE, ["u0", "u1"]), top_k=5)
    np.testing.assert_allclose(found.scores, exact.scores, atol=0.1)
    assert CATALOGUE.index(small).nbytes < CATALOGUE.index(model).nbytes / 2


def test_similar_items_are_of_the_same_genre(model: RecommendationModel) -> None:
    found = similar_items(model, CATALOGUE, "i1", top_k=1)
    assert (1 in found.rows[0], (found.rows[0] < 6).all()) == (False, True)
    vectors = CATALOGUE.vectors(model)[:, :8]
    cosine = vectors[1] @ vectors[found.rows[0][0]] / np.linalg.norm(vectors[[1, found.rows[0][0]]], axis=1).prod()
    assert found.scores[0][0] == pytest.approx(cosine, abs=1e-6)
    with pytest.raises(InputError, match="`item` must be an item of the chain. Received: 'i99'"):
        similar_items(model, CATALOGUE, "i99", top_k=1)
