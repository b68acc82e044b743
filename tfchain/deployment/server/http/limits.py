"""Limits that keep clients from holding the server's memory and threads, and the bodies that exceed them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tfchain.core.errors import InputError
from tfchain.deployment.server.admission import DEFAULT_ROWS
from tfchain.deployment.server.json.depth import DEEPEST_JSON, DEFAULT_DEPTH
from tfchain.deployment.server.status import Code, StatusError


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits of clients and requests; the stock server has none of them.

    Args:
        max_body_bytes: The largest body of a REST request, as sent and unpacked; a larger one is answered 413.
            Default: 100 MiB.
        max_batch_size: The most texts in a request to the server's own endpoints. Default: 2,048, as OpenAI has it.
        max_concurrent_requests: The most requests for models that run or wait, over REST and gRPC together; further
            ones are answered 429, or RESOURCE_EXHAUSTED. Default: 512.
        max_connections: The most open connections of each port. Default: 1,000.
        max_rows: The most rows of a Predict, Classify, Regress or MultiInference request: its `instances`, its
            examples, or the strings of an input. Default: 65,536.
        max_json_depth: The most levels of lists and objects in a JSON body. Default: 128, of which a tensor may have
            64.

    Raises:
        InputError: if a limit is less than 1, or the depth is more than Python's parser is sure to take.
    """

    max_body_bytes: int = 100 * 2**20
    max_batch_size: int = 2048
    max_concurrent_requests: int = 512
    max_connections: int = 1000
    max_rows: int = DEFAULT_ROWS
    max_json_depth: int = DEFAULT_DEPTH

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                received = f"{limit.name}={getattr(self, limit.name)}"
                raise InputError(f"`{limit.name}` must be 1 or more. Received: {received}.")
        if self.max_json_depth > DEEPEST_JSON:
            raise InputError(
                f"`max_json_depth` must be at most {DEEPEST_JSON}, which Python's parser is sure to take. "
                f"Received: max_json_depth={self.max_json_depth}."
            )


class BodyTooLargeError(StatusError):
    """A body that exceeds the limit; the answer's HTTP status is 413."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            Code.INVALID_ARGUMENT, f"A request's body must have at most {max_bytes} bytes. Send less at a time."
        )


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
    inflated, is_whole = unpack_gzip(body, max_bytes, may_have_more=False)
    if not is_whole:
        raise BodyError("The body must be all of one gzip stream, and nothing else.")
    return inflated


def unpack_gzip(body: bytes, max_bytes: int, *, may_have_more: bool) -> tuple[bytes, bool]:
    """Unpacks a gzip body.

    Args:
        body: The body as sent.
        max_bytes: The largest unpacked body; no more than that is unpacked.
        may_have_more: Whether something may follow the gzip stream.

    Returns:
        The unpacked body, and whether the stream has its end, and nothing follows that may not.

    Raises:
        BodyTooLargeError: if the unpacked body is larger.
        BodyError: if the body is not gzip.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        inflated = unpacker.decompress(body, max_bytes)
        if not unpacker.eof and unpacker.decompress(unpacker.unconsumed_tail, 1):
            raise BodyTooLargeError(max_bytes)
    except zlib.error:
        raise BodyError("The body is not gzip, as its Content-Encoding says.") from None
    return inflated, unpacker.eof and (may_have_more or not unpacker.unused_data)
