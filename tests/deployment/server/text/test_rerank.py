"""Reranking: arguments are checked, then the reason is given why there is none."""

import json
from typing import Any

import pytest

from tests.conformance.conftest import Wire

GOOD = {"query": "a", "documents": ["b", "c"]}
REASON = "No model that reranks is served"


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
