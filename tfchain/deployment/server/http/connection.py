"""An HTTP connection: parses requests with httptools, and sends the answers."""

import functools
import http
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Protocol

import httptools

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.servables.deadline import Deadline

Handler = Callable[[str, str, Mapping[str, str], bytes, Deadline], Answer]
_MAX_HEADER_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_HEADER_SECONDS = 30.0  # from the first byte of a header, or from the start of a connection, to the header's end
_BODY_SECONDS = 30.0  # without a byte, within a request; and for a body, besides what its bytes so far have earned
_LEAST_RATE = 1000.0  # bytes of a body that earn it another second, so that it cannot drip for ever
_SMALL_BYTES = 64 * 1024  # a body that is read before the request's key is looked at
_LINE_BYTES = 64  # enough to see whether something begins as a request does
_LINGER_SECONDS = 1.0
_LINGER_READS = 40
_END = b"\r\n\r\n"  # of a head, and of a chunked body
_REQUEST_LINE = re.compile(rb"[!#-'*+\-.0-9A-Z^-z|~]{1,32} [^\s]+ HTTP/1\.[01]\r\n")
_BEGINNING = re.compile(rb"[!#-'*+\-.0-9A-Z^-z|~]{1,32}(?: [^\n]*(?:\n.*)?)?", re.DOTALL)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_TOO_LATE = Answer(504, (("Content-Type", "text/html"),), b"<H1>Gateway Timeout</H1>\n")
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n|$)", re.IGNORECASE)
_REASONS = {status.value: status.phrase for status in http.HTTPStatus} | {499: "Client Closed Request"}


class Guard(Protocol):
    """Refuses requests before they are read to the end, or before they wait for their turn."""

    def check_head(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        """Returns the answer to a request that may not send its body; None if it may."""

    def is_light(self, method: str, target: str) -> bool:
        """Returns whether a request need not wait for its turn."""

    def check_size(self, method: str, target: str, size: int) -> Answer | None:
        """Returns the answer to a request whose body is too large; None if it is not."""

    def enter(self, method: str, target: str) -> Answer | None:
        """Counts a request in; returns the answer if it is a request too many."""

    def leave(self, method: str, target: str) -> None:
        """Counts a request out that was let in."""

    def give_up(self, method: str, target: str) -> Answer:
        """Returns the answer to a request whose time was up before its turn came."""


class HttpConnection:
    """Answers the requests of a client, one after the other, until either side closes the connection.

    Args:
        stream: The connected socket.
        handle: A function from `(method, target, headers, body, deadline)` to an answer.
        slots: The semaphore that limits the requests that run at the same time.
        idle_seconds: The seconds between two requests, or for sending an answer, after which the connection is closed.
        guard: Refuses requests early. Default: none are refused.
        timeout_ms: The time for a request from its arrival to its answer; None for no limit.

    Attributes:
        idle_since: Since when the client may begin a request, by the monotonic clock; None while one is read or
            answered.
    """

    def __init__(
        self,
        stream: socket.socket,
        handle: Handler,
        *,
        slots: threading.Semaphore,
        idle_seconds: float,
        guard: Guard | None = None,
        timeout_ms: int | None = None,
    ) -> None:
        self._timeout_ms = timeout_ms
        self.idle_since: float | None = time.monotonic()
        self._stream = stream
        self._handle = handle
        self._slots = slots
        self._idle_seconds = idle_seconds
        self._guard = guard
        self._header_deadline: float | None = time.monotonic() + _HEADER_SECONDS
        self._parser = httptools.HttpRequestParser(self)
        self._is_done = False
        self._is_between = True  # between two requests
        self._head = b""
        self._tail = b""  # of a chunked body: its last bytes
        self.is_closing = False
        self.has_received = False
        stream.settimeout(idle_seconds)
        self._limit_seconds = idle_seconds
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Serves the connection until it ends."""
        with self._stream:
            try:
                while not self._is_done:
                    self._wait_at_most(self._read_seconds())
                    data = self._stream.recv(_READ_BYTES)
                    if not data:
                        break
                    self.has_received = True
                    self._feed(data)
                self._linger()
            except OSError:
                return  # the client is gone, or was silent for too long

    def finish(self) -> None:
        """Closes the connection after the request that runs or arrives is answered; called by another thread."""
        self.is_closing = True
        if self._is_between and not self._head:
            self._shut(socket.SHUT_RD)

    def give_way(self) -> None:
        """Closes the connection unless it is within a request; called by another thread, for others need its place."""
        self.is_closing = True
        if self.idle_since is not None:
            self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """Closes the connection at once; called by another thread."""
        self._shut(socket.SHUT_RDWR)

    def _read_seconds(self) -> float:
        """Returns how long the client may take until its next bytes."""
        if not self._is_between:
            earned = self._body_began + _BODY_SECONDS + self._body_bytes / _LEAST_RATE
            return min(_BODY_SECONDS, max(earned - time.monotonic(), 0.001))
        if self._header_deadline is None:
            return self._idle_seconds
        return max(self._header_deadline - time.monotonic(), 0.001)

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._limit_seconds:  # setting it is a system call, during which other threads get Python's lock
            self._limit_seconds = seconds
            self._stream.settimeout(seconds)

    def _linger(self) -> None:
        """Reads a little of what the client still sends: closing the socket earlier could discard the answer."""
        self._shut(socket.SHUT_WR)
        self._stream.settimeout(_LINGER_SECONDS)
        for _ in range(_LINGER_READS):
            if not self._stream.recv(_READ_BYTES):
                break

    def _shut(self, how: int) -> None:
        try:
            self._stream.shutdown(how)
        except OSError:
            return  # it is closed already

    def _feed(self, data: bytes) -> None:
        """Parses what has arrived: heads and bodies by turns, each request to its end before the next one begins."""
        at = 0
        while at < len(data) and not self._is_done:
            at = self._feed_head(data, at) if self._is_between else self._feed_body(data, at)

    def _feed_head(self, data: bytes, at: int) -> int:
        """Parses a head once it is complete, and returns the place after it."""
        known = len(self._head)
        head = self._head + data[at : at + _MAX_HEADER_BYTES]
        blank = len(head) - len(head.lstrip(b"\r\n"))  # empty lines before a request are passed over
        end = head.find(_END, max(blank, known - len(_END)))
        if end < 0:
            self._head = head[blank:]
            if self._header_deadline is None:
                self._header_deadline = time.monotonic() + _HEADER_SECONDS
            if self._head and not _may_be_head(self._head, known):
                self._refuse()  # at once: a client that speaks another protocol may wait for an answer to its half
            return at + len(head) - known
        self._head = b""
        if end - blank > _MAX_HEADER_BYTES or _REQUEST_LINE.match(head, blank) is None:
            self._refuse()
            return len(data)
        # httptools drops the body if a client offers another protocol, as HTTP/2 clients do in their first request.
        # HTTP/1.1 allows ignoring such an offer, so it is removed before parsing.
        self._parse(_UPGRADE.sub(b"", head[blank:end]) + _END)
        return at + end + len(_END) - known

    def _feed_body(self, data: bytes, at: int) -> int:
        """Parses as much of a body as may belong to it, and returns the place after that."""
        if self._left is None:
            end = _find_end(self._tail, data, at)
            self._tail = (self._tail + data[max(at, end - len(_END)) : end])[1 - len(_END) :]
        else:
            end = min(len(data), at + self._left)
            self._left -= end - at
        self._parse(memoryview(data)[at:end])
        return end

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_done = True  # CONNECT, which is already answered
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, OSError):  # an answer could not be sent
                raise error.__context__ from None
            self._refuse()

    def _refuse(self, status: int = 400) -> None:
        """Answers what is not HTTP/1.1, and ends the connection: where the next request would begin is not known."""
        if self._is_done:
            return
        self._is_done = True
        page = f"<H1>{_REASONS[status]}</H1>\n".encode()
        self._send(Answer(status, (("Content-Type", "text/html"),), page), "close", has_body=True)

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Starts a request."""
        self._is_between = False
        self.idle_since = None
        self._header_deadline = None
        self._is_head = True
        self._left: int | None = None  # the bytes of the body that have not arrived; None for a chunked body
        self._tail = b""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_began = time.monotonic()

    def on_url(self, url: bytes) -> None:
        """Adds a piece of the target."""
        self._target += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header line; those after a chunked body are passed over, as they might contradict the ones before."""
        if self._is_head:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            if key == "transfer-encoding" and key in self._headers:  # codings may be listed in several lines
                text = f"{self._headers[key]}, {text}"
            self._headers[key] = text
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Finds how the body is framed, and refuses one that is too large; answers `Expect: 100-continue`."""
        self._is_head = False
        is_old = self._parser.get_http_version() == "1.0"
        coding = self._headers.get("transfer-encoding")
        if coding is None:
            self._left = int(self._headers.get("content-length", "0"))
            if not self._is_done:
                self._refuses(self._left)
            if not self._is_done and self._left > _SMALL_BYTES:
                self._check_head()
        elif is_old or coding.strip().lower() != "chunked":
            # HTTP/1.0 has no codings, so a proxy may see another end of the body; others than chunked are unknown here.
            self._refuse(400 if is_old else 501)
        elif not self._is_done:
            self._check_head()
        if not self._is_done and not is_old and self._headers.get("expect", "").lower() == "100-continue":
            self._stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Adds a piece of the body."""
        self._body_bytes += len(body)
        if not self._is_done and not self._refuses(self._body_bytes):
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answers the complete request."""
        self._is_between = True
        if self._is_done:
            return
        method, path = self._method(), _to_path(self._target)
        answer = self._guard.enter(method, path) if self._guard is not None else None
        if answer is None:
            try:
                answer = self._answer(method, path)
            finally:
                if self._guard is not None:
                    self._guard.leave(method, path)
        is_kept = self._parser.should_keep_alive() and not self.is_closing
        self._is_done = not is_kept
        is_old = self._parser.get_http_version() == "1.0"
        connection = "close" if not is_kept else "keep-alive" if is_old else ""
        self._send(answer, connection, has_body=method != "HEAD")
        self.idle_since = time.monotonic()

    def _answer(self, method: str, path: str) -> Answer:
        """Answers a request when its turn comes, if that is within its time."""
        deadline, body = Deadline(self._timeout_ms), b"".join(self._body)
        if self._guard is not None and self._guard.is_light(method, path):
            return self._handle(method, path, self._headers, body, deadline)
        if not self._slots.acquire(timeout=deadline.left_seconds()):
            return self._guard.give_up(method, path) if self._guard is not None else _TOO_LATE
        try:
            return self._handle(method, path, self._headers, body, deadline)
        finally:
            self._slots.release()

    def _check_head(self) -> None:
        """Answers a request that may not send its body, and ends the connection: nothing of the body is kept."""
        if self._guard is None:
            return
        method = self._method()
        answer = self._guard.check_head(method, _to_path(self._target), self._headers)
        if answer is not None:
            self._is_done = True
            self._send(answer, "close", has_body=method != "HEAD")

    def _refuses(self, size: int) -> bool:
        """Answers a request whose body is too large, and ends the connection; returns whether it is."""
        method = self._method()
        answer = self._guard.check_size(method, _to_path(self._target), size) if self._guard is not None else None
        if answer is None:
            return False
        self._is_done = True
        self._body.clear()
        self._send(answer, "close", has_body=method != "HEAD")
        return True

    def _method(self) -> str:
        method: str = self._parser.get_method().decode("latin-1")
        return method

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise ValueError(f"A request's header must have at most {_MAX_HEADER_BYTES} bytes.")

    def _send(self, answer: Answer, connection: str, *, has_body: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines.append(f"Date: {_date(int(time.time()))}")
        if answer.status != 304:  # whose length would be that of the page itself
            lines.append(f"Content-Length: {len(answer.body)}")
        if connection:
            lines.append(f"Connection: {connection}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._wait_at_most(self._idle_seconds)
        self._stream.sendall(head + answer.body if has_body else head)


def _may_be_head(beginning: bytes, known: int) -> bool:
    """Returns whether an incomplete head, of which `known` bytes were looked at before, may still become one."""
    return (
        len(beginning) <= _MAX_HEADER_BYTES
        and _BEGINNING.fullmatch(beginning[:_LINE_BYTES]) is not None
        and _BARE_LF.search(beginning, max(known - 1, 0)) is None
    )


def _find_end(tail: bytes, data: bytes, at: int) -> int:
    """Finds where a chunked body may end: each such end is an empty line, whose bytes may arrive apart."""
    over = (tail + data[at : at + len(_END) - 1]).find(_END)
    if over >= 0:
        return at + over + len(_END) - len(tail)
    found = data.find(_END, at)
    return len(data) if found < 0 else found + len(_END)


def _to_path(target: bytes) -> str:
    """Returns path and query of a target; a proxy may send a whole URL."""
    text = target.decode("latin-1")
    if "://" in text and not text.startswith("/"):
        _, _, text = text.partition("://")[2].partition("/")
        text = "/" + text
    return text


@functools.lru_cache(maxsize=1)
def _date(now: int) -> str:
    """Formats a time for HTTP; cached, so it is formatted once per second."""
    return formatdate(now, usegmt=True)
