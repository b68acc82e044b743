"""Evaluation of search: what is ranked, what is left out, and what is said of it."""

import logging
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.evaluation import (
    describe_judged,
    evaluate_index,
    find_documents,
    make_evaluation,
    read_evaluation,
)
from tfchain.tasks.search.search import PassageConfig, rank_queries


class Angles:
    """Encodes a text, the number of an angle in degrees, as the unit vector of that angle."""

    def encode_query(self, texts: Sequence[str], *, batch_size: int) -> np.ndarray:
        radians = np.radians([float(text) for text in texts])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype("float32")


ANGLES: Any = Angles()


def make_index(angles: Mapping[str, float]) -> DocumentIndex:
    index = DocumentIndex(2, "m", "cosine")
    documents = [Document(name, str(angle)) for name, angle in angles.items()]
    vectors = ANGLES.encode_query([str(angle) for angle in angles.values()], batch_size=1)
    index.add(documents, [1] * len(documents), vectors, fingerprint="m")
    return index


def rank(index: DocumentIndex, queries: dict[str, str], top_k: int, qrels: Any = None) -> dict[str, list[str]]:
    found = rank_queries(ANGLES, index, queries, top_k=top_k, qrels=qrels)
    return {query: [id for id, _ in hits] for query, hits in found.items()}


INDEX = make_index({"a": 0, "b": 10, "c": 20, "d": 30})


def test_a_query_that_is_a_document_is_left_out_and_the_cutoff_still_holds_as_many() -> None:
    assert rank(INDEX, {"a": "0", "q": "0"}, 2) == {"a": ["b", "c"], "q": ["a", "b"]}
    assert rank(INDEX, {"d": "0"}, 2) == {"d": ["a", "b"]}  # it was not among the best
    assert rank(INDEX, {"d": "0"}, 4) == {"d": ["a", "b", "c"]}


def test_a_document_that_is_judged_for_the_query_of_the_same_name_is_kept() -> None:
    """Queries and documents that are both numbered 0, 1, … lost every judged document as "the query itself"."""
    assert rank(INDEX, {"a": "0"}, 2, {"a": {"a": 1}}) == {"a": ["a", "b"]}
    assert rank(INDEX, {"a": "0"}, 2, {"a": {"a": 0, "b": 1}}) == {"a": ["a", "b"]}
    assert rank(INDEX, {"a": "0"}, 2, {"a": {"b": 1}, "b": {"a": 1}}) == {"a": ["b", "c"]}


def test_numbered_queries_find_numbered_documents() -> None:
    index = make_index({"0": 0, "1": 90, "2": 180})
    dataset = read_evaluation({"queries": {0: "1", 1: "89", 2: "95"}, "qrels": {0: {0: 1}, 1: {1: 1}, 2: {2: 1}}})
    found = evaluate_index(ANGLES, index, dataset, metrics=["mrr@10", "recall@1"])
    # ranks 1, 1 and 2: document 2 lies 85 degrees from query 2, document 1 5
    assert found == pytest.approx({"mrr@10": (1 + 1 + 1 / 2) / 3, "recall@1": 2 / 3})


def test_a_cutoff_counts_the_documents_that_are_left() -> None:
    dataset = BeirDataset({"a": "0"}, {"a": {"c": 1}})
    # without a itself, b comes first and c second
    found = evaluate_index(ANGLES, INDEX, dataset, metrics=["recall@1", "recall@2", "precision@2", "mrr@2"])
    assert found == pytest.approx({"recall@1": 0, "recall@2": 1, "precision@2": 0.5, "mrr@2": 0.5})


def test_without_a_cutoff_all_documents_are_ranked() -> None:
    found = evaluate_index(ANGLES, INDEX, BeirDataset({"q": "0"}, {"q": {"d": 1, "a": 1}}), metrics=["map"])
    assert found == pytest.approx({"map": (1 + 2 / 4) / 2})


def test_queries_whose_documents_are_not_searched_are_told(caplog: pytest.LogCaptureFixture) -> None:
    dataset = BeirDataset({"q": "0", "r": "0", "s": "0"}, {"q": {"doc-a": 1}, "r": {"a": 1, "gone": 1}, "s": {"b": 0}})
    with caplog.at_level(logging.WARNING):
        found = evaluate_index(ANGLES, INDEX, dataset, metrics=["recall@1"])
    assert found == pytest.approx({"recall@1": (0 + 1 / 2 + 0) / 3})
    assert caplog.messages == [
        "1 of 3 queries, such as 'q', count 0 in every metric: none of their relevant documents, such as 'doc-a', is "
        "among the 4 searched. Compare the ids in `qrels` with the documents'."
    ]
    caplog.clear()
    evaluate_index(ANGLES, INDEX, BeirDataset({"r": "0"}, {"r": {"a": 1, "gone": 1}}), metrics=["recall@1"])
    assert caplog.messages == []


@pytest.mark.parametrize("ids", [(0, 1), (np.int64(0), np.int64(1)), ("0", "1")])
def test_whole_numbers_are_ids_of_queries_and_of_judged_documents(ids: tuple) -> None:
    first, second = ids
    given = {"queries": {first: "x", second: "y"}, "qrels": {first: {second: 2}}}
    expected = BeirDataset({"0": "x"}, {"0": {"1": 2}})
    assert read_evaluation(given) == expected
    assert read_evaluation(BeirDataset(given["queries"], given["qrels"])) == expected


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            {"queries": {1.5: "x"}, "qrels": {"a": {"b": 1}}},
            r"`queries`: a key's `id` must be a string. Received: id=1\.5",
        ),
        (
            {"queries": {"a": "x"}, "qrels": {"a": {None: 1}}},
            r"`qrels\['a'\]` must have each id once, .* Received: None",
        ),
        (
            {"queries": {"a": "x"}, "qrels": {"a": ["b"]}},
            r"`qrels\['a'\]` must be a dict by id. .* of type list",
        ),
        (
            {"queries": ["x"], "qrels": {"a": {"b": 1}}},
            r"`queries` must be a dict by id. .* of type list",
        ),
        (
            {"queries": {1: "x", "1": "y"}, "qrels": {"1": {"b": 1}}},
            "`queries` must have each id once, .* Received: '1'",
        ),
        ("", "`dataset` must be the path of a file or folder"),
        ({"a"}, "needs a BEIR folder, a BeirDataset, or a dict .* Received: set"),
    ],
)
def test_what_is_no_evaluation_is_named(dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_evaluation(dataset)


def test_the_datasets_own_documents_are_searched_unless_they_are_just_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[list[str]] = []

    def make(_: Any, documents: Sequence[Document], *__: Any, **___: Any) -> str:
        encoded.append([one.id for one in documents])
        return "made"

    monkeypatch.setattr("tfchain.tasks.search.evaluation.make_index", make)
    same, fewer = list(INDEX), list(INDEX)[:3]
    other = [*fewer, Document("d", "another text")]
    searched: list[Any] = []
    model: Any = SimpleNamespace(fingerprint=INDEX.fingerprint)
    monkeypatch.setattr(
        "tfchain.tasks.search.evaluation.evaluate_index", lambda _, index, *__, **___: searched.append(index) or {}
    )
    for corpus in (None, same, fewer, other, [*same, Document("e", "x")]):
        dataset = BeirDataset({}, {}, corpus)
        make_evaluation(dataset, find_documents(dataset, INDEX), PassageConfig(), index=INDEX)(model)
    assert searched == [INDEX, INDEX, "made", "made", "made"]
    assert [len(ids) for ids in encoded] == [3, 4, 5]
    make_evaluation(BeirDataset({}, {}, same), same, PassageConfig(), index=None)(model)
    assert searched[-1] == "made"
    evaluate = make_evaluation(BeirDataset({}, {}, same), same, PassageConfig(), index=INDEX)
    evaluate(model)
    assert searched[-1] is INDEX
    evaluate(SimpleNamespace(fingerprint="another model"))  # as in a training, whose weights change between two
    assert searched[-1] == "made"
    for empty in (None, DocumentIndex(2, "m")):
        with pytest.raises(InputError, match="There is nothing to search"):
            find_documents(BeirDataset({}, {}), empty)


def test_an_evaluation_depends_on_queries_judgements_documents_and_passages() -> None:
    dataset, documents = (
        BeirDataset({"q": "x"}, {"q": {"a": 1}}),
        [Document("a", "one", title="t"), Document("b", "two")],
    )
    first = describe_judged(dataset, documents, PassageConfig())
    assert first == describe_judged(dataset, list(documents), PassageConfig())
    for other in (BeirDataset({"q": "y"}, {"q": {"a": 1}}), BeirDataset({"q": "x"}, {"q": {"a": 2}})):
        found = describe_judged(other, documents, PassageConfig())
        assert (found["validation"] != first["validation"], found["ranked"] == first["ranked"]) == (True, True)
    others = [
        ([Document("a", "one", title="u"), documents[1]], PassageConfig()),
        ([Document("c", "one", title="t"), documents[1]], PassageConfig()),
        ([Document("a", "other", title="t"), documents[1]], PassageConfig()),
        (documents[::-1], PassageConfig()),
        (documents[:1], PassageConfig()),
        (documents, PassageConfig(overlap_tokens=3)),
    ]
    ranked = [describe_judged(dataset, *values) for values in others]
    assert {found["validation"] for found in ranked} == {first["validation"]}
    assert len({first["ranked"], *(found["ranked"] for found in ranked)}) == 7
