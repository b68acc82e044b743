"""The table of codes."""

import grpc

from tfchain.deployment.server.grpc.requests import GRPC_CODES
from tfchain.deployment.server.status import HTTP_STATUS, Code, StatusError, cut_grpc_message, to_status


def test_every_code_has_its_http_status() -> None:
    assert {code.name: status for code, status in HTTP_STATUS.items()} == {
        "OK": 200,
        "CANCELLED": 499,
        "UNKNOWN": 500,
        "INVALID_ARGUMENT": 400,
        "DEADLINE_EXCEEDED": 504,
        "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409,
        "PERMISSION_DENIED": 403,
        "RESOURCE_EXHAUSTED": 429,
        "FAILED_PRECONDITION": 400,
        "ABORTED": 409,
        "OUT_OF_RANGE": 400,
        "UNIMPLEMENTED": 501,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DATA_LOSS": 500,
        "UNAUTHENTICATED": 401,
    }


def test_every_code_is_grpcs_of_the_same_name() -> None:
    assert {code.name for code in Code} == {code.name for code in grpc.StatusCode}
    assert all(GRPC_CODES[code].name == code.name for code in Code)


def test_a_message_of_1024_bytes_is_whole_and_a_longer_one_is_cut() -> None:
    assert cut_grpc_message("a" * 1024) == "a" * 1024
    assert cut_grpc_message("a" * 1025) == "a" * 1024 + "...TRUNCATED"


def test_an_error_reads_as_tensorflows_statuses_do() -> None:
    assert str(StatusError(Code.NOT_FOUND, "no model")) == "NOT_FOUND: no model"


def test_a_surprise_ends_in_internal() -> None:
    assert str(to_status(KeyError("x"))) == "INTERNAL: KeyError: 'x'"
