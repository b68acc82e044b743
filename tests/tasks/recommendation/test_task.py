"""Recommendation as a task: evaluation, judged versions, and what is refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.interaction_rows import make_rows, make_world
from tfchain.core.errors import InputError
from tfchain.core.judgement import Question
from tfchain.data.interactions.reading import read_interactions
from tfchain.data.interactions.splitting import leave_last_out
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import make_catalogue
from tfchain.tasks.recommendation.ranking import ask, rank_items
from tfchain.tasks.recommendation.task import RecommendationTask

TASK = RecommendationTask()
TRAIN, HELD_OUT = leave_last_out(make_world())
CATALOGUE = make_catalogue(TRAIN)


@pytest.fixture(scope="module")
def model() -> RecommendationModel:
    return RecommendationModel(RecommendationConfig(dim=8, max_history=4, history="mean", ridge=1.0)).for_data(TRAIN)


def test_held_out_items_are_looked_for_among_all_that_were_not_taken(model: RecommendationModel) -> None:
    evaluate = TASK.make_evaluation(
        HELD_OUT, CATALOGUE, metrics=["hit_rate@1", "hit_rate@12"], batch_size=1, costs=True
    )
    found = evaluate(model)
    ranked = rank_items(model, CATALOGUE, ask(CATALOGUE, list(TRAIN.users.ids)), top_k=1).rows[:, 0]
    assert found["hit_rate@1"] == (ranked == HELD_OUT.item_rows).mean()
    assert found["hit_rate@12"] == 1.0
    assert found["index_bytes"] == 12 * 9 * 4  # eight dimensions and the bias


def test_what_cannot_be_evaluated_is_refused() -> None:
    options: dict[str, Any] = {"metrics": TASK.metrics, "batch_size": 1}
    with pytest.raises(InputError, match="must be items of the chain. Received: 'other'"):
        TASK.make_evaluation(read_interactions([{"user": "u0", "item": "other"}]), CATALOGUE, **options)
    with pytest.raises(InputError, match="At least one interaction must be held out. Received: none"):
        TASK.make_evaluation(TRAIN, CATALOGUE, **options)
    with pytest.raises(InputError, match="has no items yet"):
        TASK.make_evaluation(HELD_OUT, None, **options)
    with pytest.raises(InputError, match="is asked a user and a history, not a text"):
        TASK.asked(HELD_OUT)
    with pytest.raises(InputError, match="exports all of its signatures. Received: signatures='ids'"):
        TASK.check_serving(signatures="ids", options={})
    with pytest.raises(InputError, match="`most_windows` must be a whole number of at least 1"):
        RecommendationTask(most_windows=0)


class Version:
    """A version that always recommends the same items."""

    signatures = ("serving_default",)
    description: Mapping[str, Any] = {"items": 12}

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.asked: list[str] = []

    def ask(self, question: Question) -> Mapping[str, np.ndarray]:
        users = question.inputs["user"]
        self.asked += [user.decode() for user in users]
        return {"ids": np.array([[id.encode() for id in self.ids]] * len(users), dtype=object)}


def test_a_version_is_judged_user_by_user() -> None:
    version = Version(["i4", "i10"])
    judged = TASK.make_judge(HELD_OUT, None, metric="mrr@2")(version)
    assert version.asked == list(HELD_OUT.users.ids)
    last = [HELD_OUT.items.ids[row] for row in HELD_OUT.item_rows]
    assert judged.values.tolist() == [{"i4": 1.0, "i10": 0.5}.get(id, 0.0) for id in last]
    assert 0 < judged.score < 1
    with pytest.raises(InputError, match="gives 2. Use a metric up to @2"):
        TASK.make_judge(HELD_OUT, None)(version)
    with pytest.raises(InputError, match="A version is judged user by user. Received: coverage@10"):
        TASK.make_judge(HELD_OUT, None, metric="coverage@10")


def test_a_workload_is_made_of_histories() -> None:
    single, bulk = TASK.workload(HELD_OUT, CATALOGUE)
    assert (len(single), single) == (16, bulk)
    assert single[0] == {"history": [row["item"] for row in make_rows()[:4]]}


def test_a_judge_needs_interactions() -> None:
    with pytest.raises(InputError, match="At least one interaction must be judged. Received: none"):
        TASK.make_judge(HELD_OUT.select(np.zeros(len(HELD_OUT), dtype=bool)), None)
