"""`/v1/search`: what it takes, what it answers, and what it refuses; called without a wire."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.search_server import make_router, serve_models, write_version
from tfchain.core.filters.files import METADATA_FOLDER
from tfchain.core.titles import TITLES_FOLDER
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import ServingMetrics

DOCUMENTS = {"a": "A dog runs.", "b": "The cat sleeps.", "c": "猫在睡觉。", **{f"n{i}": f"Note {i}" for i in range(20)}}

METADATA = {"b": {"language": "en", "year": 2020}, "c": {"language": "zh", "tags": ["猫", "睡"]}} | {
    f"n{number}": {"language": "en", "year": 2000 + number} for number in range(20)
}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    folder = tmp_path_factory.mktemp("models")
    write_version(folder / "docs" / "7", DOCUMENTS, top_k=12)
    write_version(folder / "old" / "1", {"x": "The cat."})
    write_version(folder / "encoder" / "2", {}, top_k=12)
    write_version(folder / "other" / "3", {}, embeds=False)
    write_version(folder / "tagged" / "4", DOCUMENTS, METADATA, top_k=12, has_metadata=True)
    write_version(folder / "plain" / "5", DOCUMENTS, top_k=12, has_metadata=False)
    write_version(folder / "titled" / "6", DOCUMENTS, titles={"b": "Cats <b>asleep</b>", "c": "猫"}, has_metadata=False)
    names = {"docs": 7, "old": 1, "encoder": 2, "other": 3, "tagged": 4, "plain": 5, "titled": 6}
    with serve_models({name: {number: folder / name / str(number)} for name, number in names.items()}) as made:
        yield made


@pytest.fixture(scope="module")
def router(manager: Manager) -> Router:
    return make_router(manager)


def post(router: Router, body: Any) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return router.answer("POST", "/v1/search", {}, data)


def search(router: Router, **fields: Any) -> Any:
    answer = post(router, {"model": "docs", **fields})
    assert (answer.status, answer.headers) == (200, (("Content-Type", "application/json"),)), answer.body
    return json.loads(answer.body)


def test_a_query_has_hits_with_highlights(router: Router) -> None:
    answer = search(router, query="the cat", top_k=2)
    assert 0 <= answer.pop("took_ms") < 10_000
    assert answer == {
        "model": "docs",
        "version": "7",
        "results": [
            {
                "query": "the cat",
                "hits": [
                    {
                        "id": "b",
                        "score": 1.0,
                        "text": "The cat sleeps.",
                        "highlights": [{"text": "The cat sleeps.", "start": 0, "marks": [[4, 7]]}],
                    },
                    {
                        "id": "a",
                        "score": 0.0,
                        "text": "A dog runs.",
                        "highlights": [{"text": "A dog runs.", "start": 0, "marks": []}],
                    },
                ],
            }
        ],
    }


def test_several_queries_are_answered_in_their_order(router: Router) -> None:
    results = search(router, query=["猫", "dog"], top_k=1, highlights=False)["results"]
    assert [result["query"] for result in results] == ["猫", "dog"]
    assert [result["hits"] for result in results] == [
        [{"id": "c", "score": 1.0, "text": "猫在睡觉。"}],
        [{"id": "a", "score": 1.0, "text": "A dog runs."}],
    ]
    assert search(router, query=[])["results"] == []


def test_scores_have_the_digits_of_float32(router: Router) -> None:
    hits = search(router, query="the cat dog", top_k=1)["results"][0]["hits"]
    assert hits[0]["score"] == 0.6666667


def test_ten_hits_are_given_by_default_and_as_many_as_were_exported_if_asked(router: Router) -> None:
    assert len(search(router, query="note")["results"][0]["hits"]) == 10
    assert len(search(router, query="note", top_k=12)["results"][0]["hits"]) == 12
    assert len(search(router, query="cat", model="old", top_k=99)["results"][0]["hits"]) == 1  # does not tell how many


def test_more_hits_than_exported_are_refused_with_what_to_do(router: Router) -> None:
    answer = post(router, {"query": "note", "model": "docs", "top_k": 13})
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == {
        "message": "`top_k` must be at most 12, for which version 7 of docs was exported. Received: top_k=13. Export "
        "it with `chain.export(path, top_k=13)` or `tfchain export --top-k 13`.",
        "type": "invalid_request_error",
        "param": "top_k",
        "code": None,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body must be JSON. Expecting value: line 1 column 1 (char 0)."),
        (b'{"query": "\xff"}', "The body must be JSON. 'utf-8' codec can't decode"),
        (b"[" * 100_000, "The body is nested too deeply: at most 128 levels"),
        ([], "The body must be a JSON object. Received: []."),
        ({}, "`query` is missing: a text, or a list of texts. Known fields: `query`, `model`, `top_k`, `filter`, "),
        ({"query": ""}, "A query must not be empty. Received: '' at position 0. Ask for something."),
        ({"query": ["a", " \n"]}, "A query must not be empty. Received: ' \\n' at position 1. Ask for something."),
        ({"query": ["a", 1]}, "A query must be a string. Received: 1 of type int at position 1."),
        ({"query": {"a": 1}}, "A query must be a string or a list of strings. Received: dict."),
        ({"query": None}, "A query must be a string or a list of strings. Received: NoneType."),
        ({"query": ["a"] * 257}, "A request may have at most 256 queries. Received: 257. Send several requests."),
        ({"query": "a", "top_k": 0}, "`top_k` must be a whole number of 1 or more. Received: 0."),
        ({"query": "a", "top_k": True}, "`top_k` must be a whole number of 1 or more. Received: true."),
        ({"query": "a", "top_k": 2.5}, "`top_k` must be a whole number of 1 or more. Received: 2.5."),
        ({"query": "a", "model": ["b"]}, '`model` must be a string. Received: ["b"].'),
        ({"query": "a", "highlights": 1}, "`highlights` must be true or false. Received: 1."),
        ({"query": "a", "topk": 3}, "The body has an unknown field. Received: 'topk'. Known: `query`, `model`, "),
        ({"query": "a", "filter": "x = 1"}, "`filter` must be an object of metadata keys and conditions, such as"),
        ({"query": "a", "filter": {"a": None}}, "`filter`'s key 'a' must be compared with a string, a finite number, "),
        (
            {"query": "a", "filter": {"a": 1}, "model": "old"},
            "`filter` needs the documents' metadata, which version 1 of old lacks: an older tfchain exported it.",
        ),
        ({"query": "a"}, "Several models are served: `model` must be one of docs, encoder, old, other, plain"),
        (
            {"query": "a", "model": "encoder"},
            "The model encoder (version 2) searches no documents. Serve a search chain",
        ),
        ({"query": "a", "model": "encoder", "top_k": 99}, "The model encoder (version 2) searches no documents."),
        ({"query": [], "model": "encoder"}, "The model encoder (version 2) searches no documents."),
        ({"query": "a", "model": "other"}, "The model other (version 3) embeds no texts: it has no signature 'embed'."),
    ],
)
def test_a_wrong_request_is_one_clear_error(router: Router, body: Any, message: str) -> None:
    answer = post(router, body)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(message)


def test_an_unknown_model_is_not_found(router: Router) -> None:
    answer = post(router, {"query": "a", "model": "nope"})
    assert answer.status == 404
    assert json.loads(answer.body)["error"] == {
        "message": "The model 'nope' does not exist, or is not served now. Served: docs, encoder, old, "
        "other, plain, tagged, titled.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"language": "zh"}, ["c"]),
        ({"year": {"$gte": 2018}}, ["b", "n18", "n19"]),
        ({"$not": {"language": "en"}}, ["a", "c"]),
        ({"tags": {"$in": ["睡", "no"]}}, ["c"]),
        ({"language": "fr"}, []),
        ({}, ["b", "a", "c", *(f"n{number}" for number in range(7))]),
    ],
    ids=["equal", "range", "not", "in", "none", "all"],
)
def test_a_filter_chooses_among_all_documents(router: Router, condition: Any, expected: list[str]) -> None:
    fields: dict[str, Any] = {"model": "tagged", "highlights": False, "filter": condition}
    hits = search(router, query=["the cat", "the cat"], **fields)["results"][1]["hits"]
    assert [hit["id"] for hit in hits] == expected
    assert [hit["metadata"] for hit in hits] == [METADATA.get(key, {}) for key in expected]


def test_top_k_counts_documents_that_the_filter_lets_through(router: Router) -> None:
    fields: dict[str, Any] = {"model": "tagged", "highlights": False, "filter": {"year": {"$lt": 2015}}}
    hits = search(router, query="the cat", top_k=2, **fields)["results"][0]["hits"]
    assert hits == [
        {"id": "n0", "score": 0.0, "text": "Note 0", "metadata": METADATA["n0"]},
        {"id": "n1", "score": 0.0, "text": "Note 1", "metadata": METADATA["n1"]},
    ]


def test_where_no_document_has_metadata_a_filter_lets_all_through_or_none(router: Router) -> None:
    fields: dict[str, Any] = {"model": "plain", "top_k": 1, "highlights": False}
    assert search(router, query="dog", filter={"year": {"$ne": 1}}, **fields)["results"][0]["hits"] == [
        {"id": "a", "score": 1.0, "text": "A dog runs."}
    ]
    assert search(router, query=["dog", "cat"], filter={"year": 1}, **fields)["results"] == [
        {"query": "dog", "hits": []},
        {"query": "cat", "hits": []},
    ]


def test_hits_have_titles_where_a_document_has_one(router: Router) -> None:
    answer = search(router, model="titled", query=["the cat", "猫 dog"], top_k=2)
    assert [[(hit["id"], hit["title"]) for hit in result["hits"]] for result in answer["results"]] == [
        [("b", "Cats <b>asleep</b>"), ("a", "")],
        [("a", ""), ("c", "猫")],
    ]
    best = answer["results"][0]["hits"][0]
    assert list(best) == ["id", "score", "title", "text", "highlights"]
    assert best["highlights"] == [{"text": "The cat sleeps.", "start": 0, "marks": [[4, 7]]}]  # of the text alone


def test_damaged_titles_are_a_server_error(tmp_path: Path) -> None:
    write_version(tmp_path / "1", DOCUMENTS, titles={"b": "Cats"})
    (tmp_path / "1" / TITLES_FOLDER / "titles").unlink()
    with serve_models({"docs": {1: tmp_path / "1"}}) as manager:
        answer = post(make_router(manager), {"query": "cat"})
    assert answer.status == 500
    assert "titles cannot be read" in json.loads(answer.body)["error"]["message"]


def test_damaged_metadata_is_a_server_error(tmp_path: Path) -> None:
    write_version(tmp_path / "1", DOCUMENTS, METADATA, has_metadata=True)
    (tmp_path / "1" / METADATA_FOLDER / "keys.json").write_text("[]")
    with serve_models({"docs": {1: tmp_path / "1"}}) as manager:
        answer = post(make_router(manager), {"query": "cat"})
    assert answer.status == 500
    assert json.loads(answer.body)["error"]["message"].endswith(
        "cannot be read: its files do not belong together. Export the version again."
    )


def test_half_a_surrogate_pair_is_replaced_as_in_a_chain(router: Router) -> None:
    assert search(router, query="\ud800 cat", top_k=1)["results"][0]["query"] == "\ufffd cat"


def test_null_means_the_default(manager: Manager, router: Router) -> None:
    fields: dict[str, Any] = {"model": "docs", "top_k": None, "highlights": None}
    assert len(search(router, query="cat", **fields)["results"][0]["hits"]) == 10


def test_the_models_that_search_are_listed(router: Router) -> None:
    answer = router.answer("GET", "/v1/search/models", {}, b"")
    assert json.loads(answer.body) == {
        "models": [
            {"name": "docs", "version": "7", "documents": 23, "top_k": 12},
            {"name": "old", "version": "1", "documents": 1, "top_k": None},
            {"name": "plain", "version": "5", "documents": 23, "top_k": 12},
            {"name": "tagged", "version": "4", "documents": 23, "top_k": 12},
            {"name": "titled", "version": "6", "documents": 23, "top_k": None},
        ]
    }


def test_a_failing_model_is_a_server_error(router: Router, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.search_server.WordServable.run", lambda *_: 1 / 0)
    answer = post(router, {"query": "cat", "model": "docs"})
    assert answer.status == 500
    assert json.loads(answer.body)["error"]["type"] == "server_error"


def test_leases_are_returned_after_answers_and_errors(router: Router, manager: Manager) -> None:
    for body in ({"query": "a", "model": "docs"}, {"query": "a", "model": "docs", "top_k": 13}, {"model": "docs"}):
        post(router, body)
    router.answer("GET", "/v1/search/models", {}, b"")
    assert {record.num_leases for records in manager._records.values() for record in records.values()} == {0}


def test_calls_are_counted(manager: Manager) -> None:
    metrics = ServingMetrics()
    router = make_router(manager, metrics=metrics)
    for query, status in (("cat", 200), ("", 400)):
        assert post(router, {"query": query, "model": "docs"}).status == status
    assert metrics.requests.labels("docs", "OK").value == 1
    assert metrics.requests.labels("", "INVALID_ARGUMENT").value == 1
    assert metrics._graph_runs.labels().value == 1  # the model did not run for an empty query
