"""Filters of a served chain: over the wire, the hits are the chain's, with their metadata."""

import json
from typing import Any

import pytest

from tests.conformance.conftest import Wire
from tfchain import Client, NeuralSearchChain
from tfchain.core.filters.files import METADATA_FOLDER
from tfchain.deployment.server.text.metadata import open_metadata
from tfchain.deployment.server.text.text_model import find_text_model
from tfchain.deployment.server.text.version_files import VersionFiles

QUERIES = ["a cat", "stocks fell"]


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {},
        {"topic": "animals"},
        {"year": {"$gt": 2020}},
        {"$not": {"tags": "b"}},
        {"$or": [{"tags": {"$in": ["a"]}}, {"topic": {"$exists": False}}]},
        {"topic": "nothing"},
    ],
    ids=repr,
)
def test_hits_over_the_wire_are_the_chains(
    docs_wire: Wire, prompted_chain: NeuralSearchChain, condition: dict[str, Any] | None
) -> None:
    body = {"query": QUERIES, "filter": condition, "highlights": False}
    answer = docs_wire.http("POST", "/v1/search", json.dumps(body).encode())
    results = json.loads(answer.text)["results"]
    for result, expected in zip(results, prompted_chain.search(QUERIES, filter=condition), strict=True):
        assert [hit["id"] for hit in result["hits"]] == [hit.id for hit in expected.hits]
        assert [hit["metadata"] for hit in result["hits"]] == [hit.metadata for hit in expected.hits]
        assert [hit["title"] for hit in result["hits"]] == [hit.title for hit in expected.hits]
        assert [hit["text"] for hit in result["hits"]] == [hit.text for hit in expected.hits]
        scores = [hit.score for hit in expected.hits]
        assert [hit["score"] for hit in result["hits"]] == pytest.approx(scores, abs=1e-5)


def test_a_clients_filtered_hits_are_the_chains(base_url: str, prompted_chain: NeuralSearchChain) -> None:
    condition = {"year": {"$gt": 2020}}
    with Client(rest_url=base_url) as client:
        found = client.search(QUERIES, model="docs", filter=condition)
    for result, expected in zip(found, prompted_chain.search(QUERIES, filter=condition), strict=True):
        assert result == expected
        hits = [(hit.id, hit.text, hit.title, hit.metadata) for hit in result.hits]
        assert hits == [("1", "stocks fell on monday", "Markets 市场", {"topic": "money", "year": 2021.5})]


def test_a_wrong_filter_is_a_400_that_names_its_field(docs_wire: Wire) -> None:
    body = {"query": "a", "filter": {"year": {"$near": 1}}}
    answer = docs_wire.http("POST", "/v1/search", json.dumps(body).encode())
    error = json.loads(answer.text)["error"]
    assert (answer.status, error["param"], error["type"]) == (400, "filter", "invalid_request_error")
    assert error["message"].startswith("`filter`'s key 'year' must be compared by one of $eq, $ne, $gt, ")


def test_a_versions_metadata_is_opened_once(docs_wire: Wire) -> None:
    cache = VersionFiles(METADATA_FOLDER, open_metadata)
    with find_text_model(docs_wire.server._manager, None, None) as model:
        opened = cache.find(model)
        assert opened is not None
        assert cache.find(model) is opened
        assert opened.find(["2", "0"]) == [{}, {"topic": "animals", "year": 2020, "tags": ["a", "b"]}]
