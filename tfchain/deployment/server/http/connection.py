"""An HTTP connection: parses requests with httptools, and sends the answers."""

import functools
import http
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate

import httptools

from tfchain.deployment.server.http.rest import Answer

Handler = Callable[[str, str, Mapping[str, str], bytes], Answer]
_MAX_HEADER_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_LINGER_SECONDS = 1.0
_LINGER_READS = 40
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n|$)", re.IGNORECASE)
_REASONS = {status.value: status.phrase for status in http.HTTPStatus} | {499: "Client Closed Request"}


class HttpConnection:
    """Answers the requests of a client, one after the other, until either side closes the connection.

    Args:
        stream: The connected socket.
        handle: A function from `(method, target, headers, body)` to an answer.
        slots: The semaphore that limits the requests that run at the same time.
        idle_seconds: The seconds without a byte after which the connection is closed.
    """

    def __init__(
        self, stream: socket.socket, handle: Handler, *, slots: threading.Semaphore, idle_seconds: float
    ) -> None:
        self._stream = stream
        self._handle = handle
        self._slots = slots
        self._parser = httptools.HttpRequestParser(self)
        self._is_done = False
        self._is_between = True  # between two requests
        self._head = b""
        self.is_closing = False
        self.has_received = False
        stream.settimeout(idle_seconds)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Serves the connection until it ends."""
        with self._stream:
            try:
                while not self._is_done:
                    data = self._stream.recv(_READ_BYTES)
                    if not data:
                        break
                    self.has_received = True
                    self._feed(data)
                self._linger()
            except OSError:
                return  # the client is gone, or was silent for too long

    def finish(self) -> None:
        """Closes the connection after the running request is answered; called by another thread."""
        self.is_closing = True
        self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """Closes the connection at once; called by another thread."""
        self._shut(socket.SHUT_RDWR)

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
        if self._is_between:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0 and len(data) <= _MAX_HEADER_BYTES:
                self._head = data
                return
            # httptools drops the body if a client offers another protocol, as HTTP/2 clients do in their first request.
            # HTTP/1.1 allows ignoring such an offer, so it is removed before parsing.
            data, self._head = _UPGRADE.sub(b"", data[:end]) + data[end:], b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_done = True  # CONNECT, which is already answered
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, OSError):  # an answer could not be sent
                raise error.__context__ from None
            self._is_done = True
            self._send(Answer(400, (("Content-Type", "text/html"),), b"<H1>Bad Request</H1>\n"), "close", has_body=True)

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Starts a request."""
        self._is_between = False
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Adds a piece of the target."""
        self._target += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header line."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Answers `Expect: 100-continue`, which a client sends before it sends the body."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self._stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Adds a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answers the complete request."""
        self._is_between = True
        if self._is_done:
            return
        method = self._parser.get_method().decode("latin-1")
        with self._slots:
            answer = self._handle(method, _to_path(self._target), self._headers, b"".join(self._body))
        is_kept = self._parser.should_keep_alive() and not self.is_closing
        self._is_done = not is_kept
        is_old = self._parser.get_http_version() == "1.0"
        connection = "close" if not is_kept else "keep-alive" if is_old else ""
        self._send(answer, connection, has_body=method != "HEAD")

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise ValueError(f"A request's header must have at most {_MAX_HEADER_BYTES} bytes.")

    def _send(self, answer: Answer, connection: str, *, has_body: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += [f"Date: {_date(int(time.time()))}", f"Content-Length: {len(answer.body)}"]
        if connection:
            lines.append(f"Connection: {connection}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._stream.sendall(head + answer.body if has_body else head)


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
