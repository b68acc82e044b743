"""The OpenAPI document of the REST port: parts of the server add their paths and schemas to it."""

import json
from collections.abc import Mapping
from typing import Any

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router

Schema = Mapping[str, Any]
Paths = Mapping[str, Mapping[str, Any]]
_KEY = "ApiKey"


class ApiDocument:
    """An OpenAPI 3.1 document, put together from the parts of a server.

    Args:
        version: The version of the API: tfchain's.
        has_keys: Whether requests need an API key.

    Example:
        document.add({"/v1/search": {"post": operation("search", "Search.", tag="Search", answer=ref("Found"))}},
                     {"Found": {"type": "object"}})
    """

    def __init__(self, version: str, *, has_keys: bool = False) -> None:
        self.version = version
        self._has_keys = has_keys
        self._paths: dict[str, dict[str, Any]] = {}
        self._schemas: dict[str, Schema] = {}
        self._written: bytes | None = None

    def add(self, paths: Paths, schemas: Mapping[str, Schema]) -> None:
        """Adds a part: operations by path and method (in small letters), and schemas by name."""
        for path, methods in paths.items():
            self._paths.setdefault(path, {}).update(methods)
        self._schemas.update(schemas)
        self._written = None

    def add_to(self, router: Router) -> None:
        """Adds `GET /openapi.json`."""
        router.add("GET", "/openapi.json", self._answer)
        answer = {"type": "object", "description": "An OpenAPI 3.1 document."}
        self.add({"/openapi.json": {"get": operation("openapi", "This document.", tag="Server", answer=answer)}}, {})

    def to_dict(self) -> dict[str, Any]:
        """Returns the document as plain values."""
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "tfchain model server",
                "version": self.version,
                "description": "TensorFlow Serving's REST API, and the endpoints that clients of embedding servers "
                "speak.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{_KEY: []}] if self._has_keys else [{}, {_KEY: []}],
            "paths": dict(sorted(self._paths.items())),
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "securitySchemes": {
                    _KEY: {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key of --api_key_file; without that flag, keys are ignored.",
                    }
                },
            },
        }

    def _answer(self, _: Request) -> Answer:
        if self._written is None:
            self._written = json.dumps(self.to_dict()).encode()
        return Answer(200, (("Content-Type", "application/json"),), self._written)


def operation(
    name: str,
    summary: str,
    *,
    tag: str,
    body: Schema | None = None,
    answer: Schema | None = None,
    media_type: str = "application/json",
    error: str = "ServingError",
    errors: Mapping[int, str] | None = None,
    parameters: tuple[Schema, ...] = (),
    is_public: bool = False,
) -> dict[str, Any]:
    """Describes an operation.

    Args:
        name: Its id, unique in the document.
        summary: What it does, in a line.
        tag: The group that it is shown in.
        body: The schema of the request's body. Default: no body.
        answer: The schema of the answer. Default: no body.
        media_type: The answer's media type. Default: JSON.
        error: The name of the schema of its errors. Default: TensorFlow Serving's.
        errors: HTTP status → when it is answered. Default: none but 401.
        parameters: Parameters of path and query.
        is_public: Whether it needs no API key. Default: False.
    """
    found: dict[str, Any] = {"operationId": name, "summary": summary, "tags": [tag]}
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    described = dict(errors or {})
    if is_public:
        found["security"] = []
    else:
        described.setdefault(401, "The request has no valid API key, and the server asks for one.")
    answers: dict[str, Any] = {"200": {"description": "The answer."}}
    if answer is not None:
        answers["200"]["content"] = {media_type: {"schema": answer}}
    for status, text in sorted(described.items()):
        answers[str(status)] = {"description": text, "content": {"application/json": {"schema": ref(error)}}}
    found["responses"] = answers
    return found


def ref(name: str) -> dict[str, str]:
    """Refers to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> dict[str, Any]:
    """Describes an object by its fields."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def array(items: Schema, **more: Any) -> dict[str, Any]:
    """Describes an array, with further keywords such as `minItems`."""
    return {"type": "array", "items": items, **more}


def path_parameter(name: str, schema: Schema) -> dict[str, Any]:
    """Describes a part of a path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}
