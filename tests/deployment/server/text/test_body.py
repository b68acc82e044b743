"""Fields of a body that no endpoint's own test reads, and the three forms of errors."""

import json

import pytest

from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.text.body import Body, read_body
from tfchain.deployment.server.text.errors import (
    FieldError,
    TooMuchError,
    write_openai_error,
    write_rerank_error,
    write_tei_error,
)


def test_missing_and_null_are_nothing() -> None:
    for body in (read_body(b"{}"), read_body(b'{"a": null}')):
        assert [body.text("a"), body.switch("a"), body.count("a"), body.choice("a", ["x"])] == [None] * 4
        assert body.object("a").get("b") is None
        with pytest.raises(FieldError, match="`a` "):
            body.object("a", is_required=True)


def test_a_field_within_an_object_has_its_whole_name() -> None:
    with pytest.raises(FieldError, match=": `a.b` must be true or false. Received: 1.$") as caught:
        Body({"a": {"b": 1}}).object("a").switch("b")
    assert caught.value.field == "a.b"


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(FieldError) as caught:
        Body({"a": ["x" * 500]}).switch("a")
    assert len(caught.value.message) < 150


@pytest.mark.parametrize(
    ("error", "openai", "tei"),
    [
        (FieldError("m", "f"), (400, "invalid_request_error", "f", None), (422, "Validation")),
        (
            TooMuchError("m", "f", reason="array_above_max_length"),
            (400, "invalid_request_error", "f", "array_above_max_length"),
            (413, "Validation"),
        ),
        (
            StatusError(Code.UNAUTHENTICATED, "m"),
            (401, "invalid_request_error", None, "invalid_api_key"),
            (401, "Unauthorized"),
        ),
        (
            StatusError(Code.NOT_FOUND, "m"),
            (404, "invalid_request_error", "model", "model_not_found"),
            (404, "Backend"),
        ),
        (
            StatusError(Code.RESOURCE_EXHAUSTED, "m"),
            (429, "requests", None, "rate_limit_exceeded"),
            (429, "Overloaded"),
        ),
        (StatusError(Code.INTERNAL, "m"), (500, "server_error", None, None), (424, "Backend")),
        (StatusError(Code.DEADLINE_EXCEEDED, "m"), (504, "server_error", None, None), (424, "Backend")),
        (StatusError(Code.UNAVAILABLE, "m"), (503, "server_error", None, None), (503, "Unhealthy")),
    ],
)
def test_the_forms_of_errors(
    error: StatusError, openai: tuple[int, str, str | None, str | None], tei: tuple[int, str]
) -> None:
    status, kind, param, code = openai
    answer = write_openai_error(error)
    expected = {"error": {"message": "m", "type": kind, "param": param, "code": code}}
    assert (answer.status, json.loads(answer.body)) == (status, expected)
    answer = write_tei_error(error, headers=(("Retry-After", "1"),))
    assert (answer.status, json.loads(answer.body)) == (tei[0], {"error": "m", "error_type": tei[1]})
    assert dict(answer.headers)["Retry-After"] == "1"
    assert ("WWW-Authenticate", "Bearer") in write_rerank_error(StatusError(Code.UNAUTHENTICATED, "m")).headers
    assert write_rerank_error(error, status=413).status == 413
