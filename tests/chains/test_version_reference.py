"""What a reference is made of is read and checked before a version is exported."""

from pathlib import Path

import pytest

from tfchain.chains.version_reference import NUM_CANARIES, make_completion, read_asked
from tfchain.core.errors import InputError
from tfchain.core.task import Task
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.task import ClassificationTask
from tfchain.tasks.question_answering.task import QuestionAnsweringTask
from tfchain.tasks.recommendation.task import RecommendationTask
from tfchain.tasks.reranking.task import RerankingTask
from tfchain.tasks.search.task import SearchTask

QUERIES = [f"query {number}" for number in range(40)]


@pytest.mark.parametrize("task", [SearchTask(), ClassificationTask(), RerankingTask("sigmoid")])
def test_texts_and_files_of_texts_are_read_for_every_task(task: Task, tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("\n".join(QUERIES))
    for source in (QUERIES, tuple(QUERIES), tmp_path / "asked.txt", str(tmp_path / "asked.txt")):
        asked = read_asked(task, source)
        assert asked.queries == QUERIES
        assert [canary.text for canary in asked.canaries] == QUERIES[::2]
        assert (len(asked.canaries), asked.canaries[0].candidates) == (NUM_CANARIES, ())


def test_evaluation_data_is_read_by_the_task() -> None:
    rows = [(text, "a label") for text in QUERIES]
    assert read_asked(ClassificationTask(), rows).queries == QUERIES
    pairs = [(text, document, 1.0) for text in QUERIES for document in ("a", "b")]
    asked = read_asked(RerankingTask("sigmoid"), pairs)
    assert asked.queries == QUERIES  # each once
    assert asked.canaries[1].text == "query 2"
    assert asked.canaries[1].candidates == ("a", "b")
    read = read_asked(QuestionAnsweringTask(), [(text, "the cat sleeps", "cat") for text in QUERIES])
    assert (read.queries, read.canaries[0].candidates) == (QUERIES, ("the cat sleeps",))


@pytest.mark.parametrize(
    ("task", "source", "message"),
    [
        (SearchTask(), QUERIES[:19], "`reference` must have at least 20 queries, better some hundred. Received: 19."),
        (SearchTask(), "missing.txt", "Expected a file of texts .* Received: missing.txt, which is not there"),
        (ClassificationTask(), [("a", "b", "same")] * 20, "must be single texts. Received: pairs of texts."),
    ],
)
def test_what_cannot_be_a_reference_is_named(task: Task, source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_asked(task, source)


def test_a_task_that_is_asked_no_single_texts_has_none_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="A recommendation is asked a user and a history, not a text"):
        read_asked(RecommendationTask(), QUERIES)
    names = ("same", "other")
    with pytest.raises(InputError, match="must be single texts. Received: pairs of texts. Leave the reference out"):
        read_asked(ClassificationTask(), QUERIES, state=Labels(names, paired=True))
    assert read_asked(ClassificationTask(), QUERIES, state=Labels(names)).queries == QUERIES


def test_a_version_of_token_ids_has_none() -> None:
    with pytest.raises(InputError, match="needs a version that answers texts. Received: signatures='ids'"):
        make_completion(SearchTask(), QUERIES, state=None, signatures="ids")
    assert make_completion(SearchTask(), None, state=None, signatures="ids") is None
