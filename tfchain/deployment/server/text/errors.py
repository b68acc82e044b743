"""The errors of the endpoints for texts, in the forms of OpenAI, text-embeddings-inference, Cohere and Jina."""

import json
from typing import Any

from tfchain.deployment.server.http.limits import BodyError
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Headers
from tfchain.deployment.server.status import HTTP_STATUS, Code, StatusError

JSON = (("Content-Type", "application/json"),)
_OPENAI_CODES = {
    Code.NOT_FOUND: "model_not_found",
    Code.UNAUTHENTICATED: "invalid_api_key",
    Code.RESOURCE_EXHAUSTED: "rate_limit_exceeded",
}
_TEI_ERRORS = {
    Code.UNAUTHENTICATED: (401, "Unauthorized"),
    Code.RESOURCE_EXHAUSTED: (429, "Overloaded"),
    Code.NOT_FOUND: (404, "Backend"),
    Code.UNAVAILABLE: (503, "Unhealthy"),
}


class FieldError(StatusError):
    """A field of a request that is wrong.

    Args:
        message: What is wrong, for the client.
        field: The field; None for the body as a whole.
        reason: A word for programs, such as `array_above_max_length`. Default: none.
    """

    def __init__(self, message: str, field: str | None, *, reason: str | None = None) -> None:
        super().__init__(Code.INVALID_ARGUMENT, message)
        self.field = field
        self.reason = reason


class TooMuchError(FieldError):
    """A field with too many items, or with a text that is too long."""


def write_openai_error(error: StatusError, *, status: int = 0, headers: Headers = ()) -> Answer:
    """Makes an error answer as OpenAI's API has it; the arguments are those of `ErrorWriter`."""
    status = status or HTTP_STATUS[error.code]
    kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
    body = {
        "message": error.message,
        "type": kind,
        "param": getattr(error, "field", "model" if error.code is Code.NOT_FOUND else None),
        "code": getattr(error, "reason", _OPENAI_CODES.get(error.code)),
    }
    return _answer(status, {"error": body}, error, headers)


def write_tei_error(error: StatusError, *, status: int = 0, headers: Headers = ()) -> Answer:
    """Makes an error answer as text-embeddings-inference has it; the arguments are those of `ErrorWriter`."""
    found, kind = _TEI_ERRORS.get(error.code, (424, "Backend"))
    if isinstance(error, FieldError):
        found, kind = 413 if isinstance(error, TooMuchError) else 422, "Validation"
    elif isinstance(error, BodyError):
        found, kind = 422, "Validation"
    elif status:
        kind = "Validation"
    return _answer(status or found, {"error": error.message, "error_type": kind}, error, headers)


def write_rerank_error(error: StatusError, *, status: int = 0, headers: Headers = ()) -> Answer:
    """Makes an error answer with Cohere's `message` and Jina's `detail`, which share a path."""
    return _answer(
        status or HTTP_STATUS[error.code], {"message": error.message, "detail": error.message}, error, headers
    )


def write_json(value: Any) -> bytes:
    """Writes a JSON value without spaces; halves of surrogate pairs become escapes."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _answer(status: int, body: Any, error: StatusError, headers: Headers) -> Answer:
    if error.code is Code.UNAUTHENTICATED:
        headers = (*headers, ("WWW-Authenticate", "Bearer"))
    return Answer(status, (*JSON, *headers), write_json(body))
