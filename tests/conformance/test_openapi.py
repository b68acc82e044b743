"""The OpenAPI document of a whole server: it is valid, and says what the server answers."""

import json
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conformance.conftest import Wire
from tfchain.deployment.server.http.openapi import ApiDocument, operation, ref
from tfchain.deployment.server.http.page import PAGE_FILES
from tfchain.deployment.server.http.serving_schema import describe_serving
from tfchain.deployment.server.ports import read_port_files
from tfchain.deployment.server.text.text_schema import SCHEMAS, TEXT_PATHS


@pytest.fixture(scope="module")
def document(wire: Wire) -> Any:
    return json.loads(wire.http("GET", "/openapi.json").text)


def test_the_document_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    ids = [methods[method]["operationId"] for methods in document["paths"].values() for method in methods]
    assert len(ids) == len(set(ids))
    assert {"/v1/models/{model}:predict", "/v1/embeddings", "/embed", "/metrics", "/ready"} <= set(document["paths"])


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Any) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named == set(document["components"]["schemas"])


def test_every_endpoint_of_the_table_is_described(wire: Wire, document: Any) -> None:
    router = wire.server._make_router(read_port_files(wire.server.options.ports))
    routes = {(path, method.lower()) for path, methods in router._routes.items() for method in methods}
    routes -= {(path, "get") for path in PAGE_FILES}  # the search page is for people
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert routes <= described
    assert all(path.startswith("/v1/models/") for path, _ in described - routes)


@pytest.mark.parametrize(
    ("method", "path", "body", "described"),
    [
        ("GET", "/v1/models/hpt", None, "/v1/models/{model}"),
        ("GET", "/v1/models/hpt/metadata", None, "/v1/models/{model}/metadata"),
        ("POST", "/v1/models/hpt:predict", {"instances": [1.0]}, "/v1/models/{model}:predict"),
        ("POST", "/v1/models/hpt:predict", {"instances": "x"}, "/v1/models/{model}:predict"),
        ("GET", "/v1/models", None, "/v1/models"),
        ("GET", "/ready", None, "/ready"),
        ("POST", "/v1/embeddings", {"input": "a"}, "/v1/embeddings"),
        ("POST", "/embed", {"inputs": "a"}, "/embed"),
        ("POST", "/v1/rerank", {"query": "a", "documents": ["b"]}, "/v1/rerank"),
        ("GET", "/health", None, "/health"),
    ],
)
def test_answers_fit_their_schemas(
    wire: Wire, document: Any, method: str, path: str, body: Any, described: str
) -> None:
    reply = wire.http(method, path, None if body is None else json.dumps(body).encode())
    answers = document["paths"][described][method.lower()]["responses"]
    content = answers[str(reply.status)].get("content", {})
    if content:
        schema = content["application/json"]["schema"]
        jsonschema.validate(json.loads(reply.text), {**schema, "components": document["components"]})
    else:
        assert reply.text == ""


def test_a_part_registers_itself_and_keys_are_told() -> None:
    made = ApiDocument("1", has_keys=True)
    describe_serving(made, "/stock")
    made.add(TEXT_PATHS, SCHEMAS)
    made.add({"/x": {"get": operation("x", "An x.", tag="X", answer=ref("X"), is_public=True)}}, {"X": {}})
    found = made.to_dict()
    OpenAPIV31SpecValidator(found).validate()
    assert found["security"] == [{"ApiKey": []}]
    assert found["paths"]["/x"]["get"]["security"] == []
    assert "401" in found["paths"]["/stock"]["get"]["responses"]
    assert "401" not in found["paths"]["/x"]["get"]["responses"]
