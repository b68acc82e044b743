"""Limits that keep clients from holding the server's memory and threads."""

import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from tfchain.core.errors import InputError
from tfchain.deployment.server.status import Code, StatusError

RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits of the server's own endpoints; TensorFlow Serving's paths have a stock server's limits.

    Args:
        max_body_bytes: The largest body, as sent and unpacked; a larger one is answered 413. Default: 100 MiB.
        max_batch_size: The most texts in a request. Default: 2,048, as OpenAI has it.
        max_concurrent_requests: The most requests that run or wait; further ones are answered 429. Default: 512.

    Raises:
        InputError: if a limit is less than 1.
    """

    max_body_bytes: int = 100 * 2**20
    max_batch_size: int = 2048
    max_concurrent_requests: int = 512

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_batch_size", "max_concurrent_requests"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be 1 or more. Received: {name}={getattr(self, name)}.")


class BodyTooLargeError(StatusError):
    """A body that exceeds the limit; the answer's HTTP status is 413."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            Code.INVALID_ARGUMENT, f"A request's body must have at most {max_bytes} bytes. Send fewer texts at a time."
        )


class OverloadedError(StatusError):
    """A request too many; the answer's HTTP status is 429."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            Code.RESOURCE_EXHAUSTED, f"The server is overloaded: {limit} requests are running or waiting. Try again."
        )


class Gate:
    """Counts the requests that run or wait, and lets no more than a limit in; threads share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Counts a request in; call `leave` at its end.

        Raises:
            OverloadedError: if as many as the limit are in.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise OverloadedError(self._limit)
            self._inside += 1

    def leave(self) -> None:
        """Counts a request out."""
        with self._lock:
            self._inside -= 1


class BodyError(StatusError):
    """A body that cannot be unpacked.

    Args:
        message: The message for the client.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, message)


def inflate(headers: Mapping[str, str], body: bytes, max_bytes: int) -> bytes:
    """Unpacks a body with `Content-Encoding: gzip`; other bodies are returned as they are.

    Args:
        headers: The request's headers, by lower-case name.
        body: The body as sent.
        max_bytes: The largest unpacked body; no more than that is unpacked.

    Raises:
        BodyTooLargeError: if the unpacked body is larger.
        BodyError: if the body is not gzip, or is in another encoding.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise BodyError(f"The body must be sent plain or as gzip. Received: Content-Encoding: {encoding:.40}.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        inflated = unpacker.decompress(body, max_bytes)
        if not unpacker.eof and unpacker.decompress(unpacker.unconsumed_tail, 1):
            raise BodyTooLargeError(max_bytes)
    except zlib.error:
        raise BodyError("The body is not gzip, as its Content-Encoding says.") from None
    if not unpacker.eof or unpacker.unused_data:
        raise BodyError("The body must be all of one gzip stream, and nothing else.")
    return inflated
