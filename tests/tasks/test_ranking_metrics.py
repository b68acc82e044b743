"""Ranking metrics against values worked out by hand."""

from math import log2

import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.ranking_metrics import largest_cutoff, ranking_metrics

# Ranks: 1 x (not judged), 2 b (grade 1), 3 z (grade 0), 4 a (grade 3); c (grade 2) is not found.
RUN = {"q": [("x", 0.9), ("b", 0.8), ("z", 0.7), ("a", 0.6)]}
QRELS = {"q": {"a": 3, "b": 1, "c": 2, "z": 0}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndcg@10", (1 / log2(3) + 3 / log2(5)) / (3 / log2(2) + 2 / log2(3) + 1 / log2(4))),
        ("ndcg@2", (1 / log2(3)) / (3 / log2(2) + 2 / log2(3))),
        ("ndcg", (1 / log2(3) + 3 / log2(5)) / (3 / log2(2) + 2 / log2(3) + 1 / log2(4))),
        ("mrr@10", 1 / 2),
        ("mrr@1", 0.0),
        ("mrr@2", 1 / 2),
        ("mrr", 1 / 2),
        ("map@10", (1 / 2 + 2 / 4) / 3),
        ("map@2", (1 / 2) / 3),
        ("map", (1 / 2 + 2 / 4) / 3),
        ("recall@100", 2 / 3),
        ("recall@2", 1 / 3),
        ("recall", 2 / 3),
        ("precision@10", 2 / 10),
        ("precision@2", 1 / 2),
        ("precision", 2 / 4),
    ],
)
def test_each_metric_has_the_value_worked_out_by_hand(name: str, expected: float) -> None:
    assert ranking_metrics(RUN, QRELS, [name]) == {name: pytest.approx(expected, abs=1e-12)}


def test_all_at_once_have_the_values_of_each_alone() -> None:
    names = ["ndcg@10", "ndcg@3", "mrr@10", "map@100", "recall@100", "recall@1", "precision@5", "precision", "mrr"]
    together = ranking_metrics(RUN, QRELS, names)
    assert list(together) == names
    assert together == {name: ranking_metrics(RUN, QRELS, [name])[name] for name in names}


def test_the_defaults_are_those_of_the_chain() -> None:
    assert list(ranking_metrics(RUN, QRELS)) == ["ndcg@10", "mrr@10", "recall@100", "map@100"]


def test_the_mean_counts_judged_queries_that_are_missing_empty_or_without_relevant_documents_as_zero() -> None:
    run = {"found": [("a", 1.0)], "empty": [], "nothing relevant": [("a", 1.0)], "not judged": [("a", 1.0)]}
    qrels = {"found": {"a": 1}, "missing": {"a": 1}, "empty": {"a": 1}, "nothing relevant": {"a": 0}, "unjudged": {}}
    names = ["ndcg@10", "mrr@10", "map@100", "recall@100", "recall", "precision", "mrr"]
    assert ranking_metrics(run, qrels, names) == dict.fromkeys(names, 1 / 4)


def test_a_run_that_found_nothing_scores_zero() -> None:
    assert ranking_metrics({"q": []}, QRELS, ["ndcg@10", "mrr@10"]) == {"ndcg@10": 0.0, "mrr@10": 0.0}


def test_a_ranked_list_keeps_its_order_where_scores_are_equal() -> None:
    # trec_eval alone would sort equal scores by falling id and put z first.
    names = ["mrr@10", "ndcg@1", "map@100"]
    assert ranking_metrics({"q": [("a", 0.5), ("z", 0.5)]}, {"q": {"a": 1}}, names) == dict.fromkeys(names, 1.0)


def test_scores_by_id_are_ranked_by_score_then_by_falling_id() -> None:
    run = {"q": {"a": 0.5, "z": 0.5, "best": 0.6}}
    assert ranking_metrics(run, {"q": {"best": 1}}, ["mrr"]) == {"mrr": 1.0}
    assert ranking_metrics(run, {"q": {"z": 1}}, ["mrr"]) == {"mrr": 1 / 2}
    assert ranking_metrics(run, {"q": {"a": 1}}, ["mrr"]) == {"mrr": pytest.approx(1 / 3)}


@pytest.mark.parametrize("name", ["ndcg@0", "ndcg@", "NDCG@10", "hits@1", "mrr@ten", "", "map@1.5"])
def test_an_unknown_metric_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="must be one of ndcg, mrr, map, recall, precision.*Received: " + repr(name)):
        ranking_metrics(RUN, QRELS, [name])


def test_a_run_without_judged_queries_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"in common. Received: 1 in the run, such as 'other', and 1 judged, such as 'q'"
    ):
        ranking_metrics({"other": [("a", 1.0)]}, QRELS)
    with pytest.raises(InputError, match="must judge at least one query"):
        ranking_metrics(RUN, {"q": {}})


def test_a_document_twice_and_a_score_that_is_no_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"each document once. Received: 'a' twice for query 'q'"):
        ranking_metrics({"q": [("a", 0.9), ("a", 0.8)]}, QRELS)
    with pytest.raises(InputError, match="NaN for document 'a' of query 'q'"):
        ranking_metrics({"q": {"a": float("nan")}}, QRELS)


def test_the_largest_cutoff_says_how_long_a_ranking_must_be() -> None:
    assert largest_cutoff(["ndcg@10", "recall@100", "mrr@5"]) == 100
    assert largest_cutoff(["ndcg@10", "map"]) is None
    assert largest_cutoff() == 100
    with pytest.raises(InputError, match="Received: 'hits@1'"):
        largest_cutoff(["hits@1"])


@pytest.mark.parametrize("metrics", ["ndcg@10", []])
def test_metrics_that_are_no_list_of_names_are_refused(metrics: list[str]) -> None:
    with pytest.raises(InputError, match="`metrics` must be a list of names"):
        ranking_metrics(RUN, QRELS, metrics)
    with pytest.raises(InputError, match="`metrics` must be a list of names"):
        largest_cutoff(metrics)
