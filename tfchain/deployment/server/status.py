"""The status of a request: the codes, an error class, and the table of HTTP statuses."""

import enum
import logging

from tfchain.core.errors import TfchainError

logger = logging.getLogger(__name__)

MAX_GRPC_MESSAGE = 1024


class Code(enum.IntEnum):
    """The canonical codes of gRPC and TensorFlow, with their wire numbers."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class StatusError(TfchainError):
    """A request or a load that ended with a code other than OK.

    Args:
        code: The canonical code.
        message: The message for the client.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> StatusError:
    """Returns the error for a request that is wrong in any state of the server."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """Returns the error for a model or version that does not exist."""
    return StatusError(Code.NOT_FOUND, message)


def not_supported_yet(what: str) -> StatusError:
    """Returns the error for a request that stock TensorFlow Serving supports and the embedded server does not."""
    return StatusError(Code.UNIMPLEMENTED, f"{what} is not supported by the embedded server yet.")


def to_status(error: Exception) -> StatusError:
    """Converts any error to a status; an unexpected error is logged, and becomes INTERNAL unless memory ran out."""
    if isinstance(error, StatusError):
        return error
    logger.error("a request failed unexpectedly", exc_info=error)
    if isinstance(error, MemoryError):
        return StatusError(Code.RESOURCE_EXHAUSTED, f"The server has not enough memory for the request. {error}")
    return StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")


def cut_grpc_message(message: str) -> str:
    """Truncates a message as stock TensorFlow Serving does, so that it fits into gRPC's trailers."""
    encoded = message.encode("utf-8", "surrogateescape")
    if len(encoded) <= MAX_GRPC_MESSAGE:
        return encoded.decode("utf-8", "replace")
    return encoded[:MAX_GRPC_MESSAGE].decode("utf-8", "replace") + "...TRUNCATED"
