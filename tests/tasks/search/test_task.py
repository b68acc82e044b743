"""What the search says of itself to whoever trains, tunes and compresses it."""

import pytest

from tfchain.chains.arguments import complete_validation
from tfchain.core.errors import InputError
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
