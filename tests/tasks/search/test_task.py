"""What the search says of itself to whoever trains, tunes and compresses it."""

import pytest

from tfchain.chains.arguments import complete_validation
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset
from tfchain.tasks.search.task import SearchTask
from tfchain.training.fit.validation import Validation


def test_a_validation_without_metrics_gets_the_tasks_own_with_the_wanted_one_first() -> None:
    found = complete_validation(SearchTask(), {"queries": {}}, first="ndcg@5")
    assert found.metrics == ("ndcg@5", "ndcg@10", "mrr@10", "recall@100", "map@100")
    assert (found.monitor, found.mode) == ("ndcg@5", "max")
    assert found.dataset == {"queries": {}}


def test_a_validations_own_metrics_monitor_and_mode_are_kept() -> None:
    given = Validation(dataset=1, metrics=["mrr@10", "map"], monitor="map", mode="min", patience=2)
    assert complete_validation(SearchTask(), given, first="ndcg@5") == given


def test_a_metric_that_no_search_measures_is_refused() -> None:
    with pytest.raises(InputError, match="A metric must be one of ndcg, mrr, .* Received: 'accuracy'"):
        complete_validation(SearchTask(), Validation(dataset=1, metrics=["accuracy"]))


def test_queries_are_timed_one_at_a_time_and_documents_in_bulk() -> None:
    dataset = BeirDataset(
        {"q": "who", "r": "what"}, {"q": {"a": 1}}, [Document("a", "x", title="t"), Document("b", "y")]
    )
    assert SearchTask().workload(dataset, None) == (["who", "what"], ["t x", "y"])


def test_a_search_is_told_by_its_ranking() -> None:
    task = SearchTask()
    assert (task.objective, task.compared, task.lower_is_better) == ("ndcg@10", ("ndcg@10", "recall@100"), frozenset())
    assert task.settings() == {"passages": {"mode": "split", "overlap_tokens": None}}
