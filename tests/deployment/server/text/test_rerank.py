"""Reranking: arguments are checked, models that do not rerank say so, and the others give Python's scores."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tests.deployment.server.text.conftest import DOCUMENTS
from tests.tiny_model import save_tiny_model
from tfchain import NeuralSearchChain, Reranker
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions

RERANKER = Path(__file__).parents[3] / "parity" / "reranker_fixtures" / "bert"

GOOD = {"query": "a", "documents": ["b", "c"]}
REASON = "does not rerank. Serve a Reranker, or a search chain with one"


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v1/rerank", GOOD, 400, REASON),
        ("/v2/rerank", {**GOOD, "model": "docs", "top_n": 1, "max_tokens_per_doc": 100}, 400, REASON),
        ("/v1/rerank", {**GOOD, "documents": [{"text": "b"}, "c"], "return_documents": True}, 400, REASON),
        ("/v1/rerank", {**GOOD, "documents": [{"title": "b"}]}, 400, "or of objects with a `text`"),
        ("/v2/rerank", {**GOOD, "documents": [{"text": "b"}]}, 400, "`documents` must be a list of strings"),
        ("/v1/rerank", {"documents": ["b"]}, 400, "`query` is missing"),
        ("/v2/rerank", {**GOOD, "query": ""}, 400, "`query` must not be empty"),
        ("/v2/rerank", {**GOOD, "documents": []}, 400, "`documents` must not be empty"),
        ("/v1/rerank", {**GOOD, "documents": ["b"] * 71}, 400, "must have at most 70 items"),
        ("/v1/rerank", {**GOOD, "documents": "b"}, 400, "`documents` must be a list of strings"),
        ("/v2/rerank", {**GOOD, "top_n": 0}, 400, "`top_n` must be a whole number of 1 or more"),
        ("/v1/rerank", {**GOOD, "return_documents": "yes"}, 400, "must be true or false"),
        ("/v2/rerank", {**GOOD, "model": "rerank-v3.5"}, 404, "Served: docs."),
    ],
)
def test_coheres_and_jinas_paths(docs_wire: Wire, path: str, body: Any, status: int, text: str) -> None:
    reply = docs_wire.http("POST", path, json.dumps(body).encode())
    found = json.loads(reply.text)
    assert reply.status == status
    assert text in found["message"]
    assert found == {"message": found["message"], "detail": found["message"]}


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [
        ({"query": "a", "texts": ["b"], "raw_scores": True}, 424, "Backend", REASON),
        ({"query": "a", "texts": []}, 422, "Validation", "`texts` must not be empty"),
        ({"query": "a", "texts": ["b"] * 71}, 413, "Validation", "at most 70 items"),
        ({"texts": ["b"]}, 422, "Validation", "`query` is missing"),
        ({"query": "a", "texts": ["b"], "return_text": 1}, 422, "Validation", "must be true or false"),
    ],
)
def test_the_path_of_text_embeddings_inference(docs_wire: Wire, body: Any, status: int, kind: str, text: str) -> None:
    reply = docs_wire.http("POST", "/rerank", json.dumps(body).encode())
    found = json.loads(reply.text)
    assert (reply.status, found["error_type"]) == (status, kind)
    assert text in found["error"]


@pytest.fixture(scope="module")
def reranked_chain(tmp_path_factory: pytest.TempPathFactory) -> NeuralSearchChain:
    """A chain of a random BERT of one layer with a random reranker, and documents of which one has several passages."""
    folder = tmp_path_factory.mktemp("reranked") / "bert"
    save_tiny_model(folder, seed=1, num_layers=1)
    reranker = Reranker.from_pretrained(RERANKER, engine="tensorflow")
    chain = NeuralSearchChain.from_pretrained(folder, engine="tensorflow", reranker=reranker, rerank_top=3)
    return chain.add([*DOCUMENTS, "the dog runs and the cat sleeps " * 9, "who fell"])


@pytest.fixture(scope="module")
def reranked_wire(reranked_chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server of the chain's version."""
    version = reranked_chain.export(tmp_path_factory.mktemp("served") / "docs", top_k=2)
    options = ServerOptions(
        "docs", version.parent, host="127.0.0.1", grpc_port=None, rest_port=0, poll_seconds=0, has_warmup=False
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


def test_cohere_gets_relevance_scores_in_order(reranked_chain: NeuralSearchChain, reranked_wire: Wire) -> None:
    texts = ["the cat sleeps", "stocks fell", "who runs"]
    second = reranked_chain.second
    assert second is not None
    outputs = second.reranker.predict([("who sleeps", text) for text in texts], activation="identity")
    scores = 1 / (1 + np.exp(-outputs))
    body = {"query": "who sleeps", "documents": [{"text": texts[0]}, *texts[1:]], "top_n": 2, "return_documents": True}

    found = json.loads(reranked_wire.http("POST", "/v1/rerank", json.dumps(body).encode()).text)

    order = np.argsort(-scores).tolist()[:2]
    assert [result["index"] for result in found["results"]] == order
    assert [result["document"] for result in found["results"]] == [{"text": texts[place]} for place in order]
    np.testing.assert_allclose([result["relevance_score"] for result in found["results"]], scores[order], atol=1e-5)
    assert found["model"] == "docs"


def test_text_embeddings_inferences_clients_may_ask_for_raw_scores(reranked_wire: Wire) -> None:
    body = {"query": "who sleeps", "texts": ["the cat sleeps", "stocks fell"], "return_text": True}
    cooked, raw = (
        json.loads(reranked_wire.http("POST", "/rerank", json.dumps({**body, **more}).encode()).text)
        for more in ({}, {"raw_scores": True})
    )
    assert [rank["text"] for rank in cooked] == [body["texts"][rank["index"]] for rank in cooked]
    sigmoid = [1 / (1 + np.exp(-rank["score"])) for rank in raw]
    np.testing.assert_allclose([rank["score"] for rank in cooked], sigmoid, atol=1e-6)
    refused = reranked_wire.http("POST", "/rerank", json.dumps({**body, "truncate": False}).encode())
    assert refused.status == 422
    assert "cannot tell whether a pair is cut off" in refused.text


def test_a_served_search_gives_the_reranked_documents_of_python(
    reranked_chain: NeuralSearchChain, reranked_wire: Wire
) -> None:
    asked = "what does the cat do"
    expected = reranked_chain.search(asked, top_k=2)
    for condition, hits in (
        (None, expected.hits),
        ({"year": {"$gte": 2000}}, reranked_chain.search(asked, top_k=2, filter={"year": {"$gte": 2000}}).hits),
    ):
        body = {"query": asked, "top_k": 2, "filter": condition}
        found = json.loads(reranked_wire.http("POST", "/v1/search", json.dumps(body).encode()).text)["results"][0]
        assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in hits]
        np.testing.assert_allclose([hit["score"] for hit in found["hits"]], [hit.score for hit in hits], atol=1e-5)
