"""The endpoints together: what is served at which path, and answers that fit the OpenAPI document."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.http.monitoring import Readiness
from tfchain.deployment.server.http.openapi import ApiDocument
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.status import not_found
from tfchain.deployment.server.text.endpoints import add_text_endpoints


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": ["a", "b"], "encoding_format": "base64", "model": "docs-query"}),
        ("/v1/embeddings", {"input": [2, 7, 3], "dimensions": 8}),
        ("/v1/embeddings", {"input": "a", "dimensions": 5}),
        ("/v1/embeddings", {"input": "a", "model": "nope"}),
        ("/embed", {"inputs": ["a", "b"], "truncate": False, "prompt_name": "query"}),
        ("/", {"inputs": "a", "normalize": None}),
        ("/embed", {"inputs": "a", "dimensions": 5}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": None}),
        ("/tokenize", {"inputs": ["a", "b"], "add_special_tokens": False}),
        ("/rerank", {"query": "a", "texts": ["b"]}),
        ("/v2/rerank", {"query": "a", "documents": ["b"]}),
        ("/v1/search", {"query": "a", "filter": {"year": {"$gte": 2020}}}),
    ],
)
def test_bodies_and_answers_fit_their_schemas(docs_wire: Wire, path: str, body: Any) -> None:
    document = json.loads(docs_wire.http("GET", "/openapi.json").text)
    described = document["paths"][path]["post"]
    more = {"components": document["components"]}
    jsonschema.validate(body, {**described["requestBody"]["content"]["application/json"]["schema"], **more})
    reply = docs_wire.http("POST", path, json.dumps(body).encode())
    schema = described["responses"][str(reply.status)]["content"]["application/json"]["schema"]
    jsonschema.validate(json.loads(reply.text), {**schema, **more})


def test_a_server_without_models_says_so() -> None:
    def load(_: object) -> Any:
        raise not_found("nothing")

    router = Router(lambda *_: Answer(404, (), b""), limits=RequestLimits())
    manager = Manager(load)
    document = ApiDocument("1")
    add_text_endpoints(router, manager, readiness=lambda: Readiness({"docs": False}), document=document)
    assert json.loads(router.answer("GET", "/v1/models", {}, b"").body) == {"object": "list", "data": []}
    answer = router.answer("POST", "/v1/embeddings", {}, b'{"input": "a"}')
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (404, "No model is served now.")
    health = router.answer("GET", "/health", {}, b"")
    assert (health.status, json.loads(health.body)) == (503, {"error": "unhealthy", "error_type": "Unhealthy"})
    manager.close()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_ovmsclient_asks_the_same_model(docs_wire: Wire, protocol: str) -> None:
    import ovmsclient

    port = docs_wire.server.rest_port if protocol == "http" else docs_wire.server.grpc_port
    client = getattr(ovmsclient, f"make_{protocol}_client")(f"localhost:{port}")
    # Its default of version 0 means the latest one to OpenVINO's server, and version 0 to TensorFlow Serving.
    assert client.get_model_status("docs", model_version=1)[1]["state"] == "AVAILABLE"
    assert "text" in str(client.get_model_metadata("docs", model_version=1))
    found = client.predict({"text": np.array([b"a cat"])}, "docs", model_version=1)
    assert set(found) == {"ids", "scores", "texts"}
