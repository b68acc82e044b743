"""What the search says of itself to whoever trains, tunes and compresses it."""

from pathlib import Path

import pytest
import tensorflow as tf

from tfchain.chains.arguments import complete_validation
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.document_index import DocumentIndex
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
    assert SearchTask().asked(dataset) == (["who", "what"], None)


def test_a_search_is_told_by_its_ranking() -> None:
    task = SearchTask()
    assert (task.objective, task.compared, task.lower_is_better) == ("ndcg@10", ("ndcg@10", "recall@100"), frozenset())
    assert task.settings() == {"passages": {"mode": "split", "overlap_tokens": None}}


def test_a_version_answers_with_as_many_documents_as_it_was_asked_for(thin_model_path: Path) -> None:
    model = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    index = DocumentIndex(model.embedding_dim, model.fingerprint)
    texts = [f"the cat {number}" for number in range(12)]
    index.add([Document(text, text) for text in texts], [1] * 12, model.encode(texts), fingerprint=model.fingerprint)
    for top_k in (2, 11):
        options = {"top_k": top_k}
        served = SearchTask().serve(model, index, signatures="text", batch_size=8, options=options)
        answers = served.graph.signatures["search"](tf.constant(["a cat", "who"]))
        assert answers["ids"].shape == answers["scores"].shape == (2, top_k)
