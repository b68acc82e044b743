"""The endpoints for texts, asked of a model that embeds none."""

import json
from typing import Any

import pytest

from tests.conformance.conftest import Wire

REASON = "The model hpt (version 123) embeds no texts: it has no signature 'embed'."


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/v1/embeddings", {"input": "a"}, 400, "invalid_request_error"),
        ("/v1/embeddings", {"input": "a", "model": "hpt-query"}, 400, "invalid_request_error"),
        ("/embed", {"inputs": "a"}, 424, "Backend"),
        ("/tokenize", {"inputs": "a", "model": "hpt"}, 424, "Backend"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, 424, "Backend"),
    ],
)
def test_the_reason_is_given(wire: Wire, path: str, body: Any, status: int, kind: str) -> None:
    reply = wire.http("POST", path, json.dumps(body).encode())
    found: Any = json.loads(reply.text)
    message, word = (
        (found["error"]["message"], found["error"]["type"])
        if path.startswith("/v1/")
        else (found["error"], found["error_type"])
    )
    assert (reply.status, word) == (status, kind)
    assert message.startswith(REASON)


def test_info_is_424_and_health_is_200(wire: Wire) -> None:
    assert (wire.http("GET", "/info").status, wire.http("GET", "/health").status) == (424, 200)
