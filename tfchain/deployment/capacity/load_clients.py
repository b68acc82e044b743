"""Clients that put a server under load: many connections in one thread, which cost the machine little.

Requests are written once and answers are not parsed, so that the clients take little of the processor that a server on
the same machine could use.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tfchain.core.errors import InputError, ServerError

READ_BYTES = 256 * 1024
END_OF_HEAD = b"\r\n\r\n"
LEAST_ANSWERS = 3  # of each client, however long they take


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers.

    Args:
        url: The model's REST address, such as `http://127.0.0.1:8501/v1/models/docs` or `…/versions/3`.
        headers: Further headers of each request, such as an API key's.
        context: The TLS context of an https address; None for the system's.
        timeout_seconds: The time limit of an answer. Default: 30.

    Raises:
        InputError: if the address is not one of a model.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    context: ssl.SSLContext | None = None
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "/v1/models/" not in parts.path:
            raise InputError(
                f"`url` must be a model's REST address, such as 'http://127.0.0.1:8501/v1/models/docs'. "
                f"Received: url={self.url!r}."
            )

    def connect(self) -> socket.socket:
        """Opens a connection.

        Raises:
            ServerError: if the server cannot be reached.
        """
        parts = urlsplit(self.url)
        is_https = parts.scheme == "https"
        port = parts.port or (443 if is_https else 80)
        try:
            stream = socket.create_connection((parts.hostname or "", port), timeout=self.timeout_seconds)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not is_https:
                return stream
            context = self.context or ssl.create_default_context()
            return context.wrap_socket(stream, server_hostname=parts.hostname)
        except OSError as error:
            raise ServerError(
                f"The server at {self.url} cannot be reached: {error.strerror or error}. Check that it runs, and the "
                "address."
            ) from error

    def write(self, body: bytes) -> bytes:
        """Returns the request `…:predict` with a body."""
        parts = urlsplit(self.url)
        lines = [f"POST {parts.path.rstrip('/').removesuffix(':predict')}:predict HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD + body


@dataclass(frozen=True)
class Answers:
    """What clients got.

    Args:
        latencies_ms: The time to each answer, in the order of the answers.
        seconds: The time that it took altogether.
        exchanged_bytes: Bytes of all requests and answers.
    """

    latencies_ms: np.ndarray
    seconds: float
    exchanged_bytes: int

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies_ms) / self.seconds

    def quantile(self, share: float) -> float:
        """Returns the time in which a share of the answers came, in ms."""
        return float(np.quantile(self.latencies_ms, share))


class LoadClients:
    """Connections to an endpoint; use them in a `with` block.

    Args:
        endpoint: Where the model answers.
        clients: How many connections.
        bodies: The requests' bodies, which the clients take in turn.

    Raises:
        ServerError: if the server cannot be reached, or answers the first request of a connection with an error.
    """

    def __init__(self, endpoint: Endpoint, clients: int, bodies: Sequence[bytes]) -> None:
        self._requests = [endpoint.write(body) for body in bodies]
        self._timeout_seconds = endpoint.timeout_seconds
        self._next = 0
        self._connections: list[_Connection] = []
        try:
            for _ in range(clients):
                self._connections.append(_Connection(endpoint.connect()))
            for connection in self._connections:  # what a connection's first request costs more is not counted
                self._send(connection, 0.0)
                while not connection.receive():
                    pass
        except (OSError, ServerError) as error:
            self.close()
            raise error if isinstance(error, ServerError) else _lost(error) from error

    def __enter__(self) -> "LoadClients":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections:
            connection.stream.close()

    def ask_again(self, seconds: float) -> Answers:
        """Lets each client ask again as soon as it has its answer.

        Args:
            seconds: How long; longer if a client has not had three answers by then.

        Raises:
            ServerError: if an answer is an error, or does not come in time.
        """
        latencies: list[float] = []
        least = LEAST_ANSWERS * len(self._connections)
        exchanged = self._exchanged_bytes()
        with self._selector() as selector:
            begin = time.perf_counter()
            for connection in self._connections:
                self._send(connection, time.perf_counter())
            running = len(self._connections)
            while running:
                for connection in self._receive(selector, self._timeout_seconds):
                    now = time.perf_counter()
                    latencies.append(now - connection.asked_at)
                    if now - begin < seconds or len(latencies) < least:
                        self._send(connection, now)
                    else:
                        running -= 1
            seconds = time.perf_counter() - begin
        return Answers(1000 * np.array(latencies), seconds, self._exchanged_bytes() - exchanged)

    def ask_after(self, pauses: Sequence[float]) -> Answers:
        """Lets one client ask, and pause before each question, so that it finds a server that has rested.

        Args:
            pauses: Seconds between an answer and the next question, one for each question.

        Raises:
            ServerError: if an answer is an error, or does not come in time.
        """
        connection, latencies, exchanged = self._connections[0], [], self._exchanged_bytes()
        begin = time.perf_counter()
        for pause in pauses:
            time.sleep(pause)
            self._send(connection, time.perf_counter())
            try:
                while not connection.receive():
                    pass
            except OSError as error:
                raise _lost(error) from error
            latencies.append(time.perf_counter() - connection.asked_at)
        seconds = time.perf_counter() - begin
        return Answers(1000 * np.array(latencies), seconds, self._exchanged_bytes() - exchanged)

    def ask_at(self, times: Sequence[float]) -> Answers:
        """Asks at given times, whether or not earlier requests are answered; latencies count from these times.

        A request for which no connection is free waits, and its waiting counts.

        Args:
            times: Seconds from now, in ascending order.

        Raises:
            ServerError: if an answer is an error, or does not come in time.
        """
        latencies: list[float] = []
        free = list(self._connections)
        exchanged, done = self._exchanged_bytes(), 0
        with self._selector() as selector:
            begin = time.perf_counter()
            while len(latencies) < len(times):
                now = time.perf_counter() - begin
                while done < len(times) and free and times[done] <= now:
                    self._send(free.pop(), begin + times[done])
                    done += 1
                waits_for_time = done < len(times) and bool(free)
                pause = max(0.0, times[done] - now) if waits_for_time else self._timeout_seconds
                for connection in self._receive(selector, pause, may_be_none=waits_for_time):
                    latencies.append(time.perf_counter() - connection.asked_at)
                    free.append(connection)
            seconds = time.perf_counter() - begin
        return Answers(1000 * np.array(latencies), seconds, self._exchanged_bytes() - exchanged)

    def _send(self, connection: "_Connection", asked_at: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        try:
            connection.send(request, asked_at)
        except OSError as error:
            raise _lost(error) from error

    def _receive(
        self, selector: selectors.BaseSelector, seconds: float, *, may_be_none: bool = False
    ) -> list["_Connection"]:
        """Waits for answers; returns the connections whose answer is complete."""
        ready = selector.select(seconds)
        if not ready and not may_be_none:
            raise ServerError(f"The server did not answer in {self._timeout_seconds:g} s.")
        try:
            return [key.data for key, _ in ready if key.data.receive()]
        except OSError as error:
            raise _lost(error) from error

    def _selector(self) -> Any:
        selector = selectors.DefaultSelector()
        for connection in self._connections:
            selector.register(connection.stream, selectors.EVENT_READ, connection)
        return selector

    def _exchanged_bytes(self) -> int:
        return sum(connection.exchanged_bytes for connection in self._connections)


class _Connection:
    """A connection over HTTP/1.1 that is kept alive, with one request at a time."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.asked_at = 0.0
        self.exchanged_bytes = 0
        self._received = b""
        self._length = -1  # of the whole answer; -1 before its head has come; 0 if only its end tells

    def send(self, request: bytes, asked_at: float) -> None:
        self._received, self._length, self.asked_at = b"", -1, asked_at
        self.exchanged_bytes += len(request)
        self.stream.sendall(request)

    def receive(self) -> bool:
        """Reads what has come; returns whether the answer is complete."""
        data = self.stream.recv(READ_BYTES)
        while isinstance(self.stream, ssl.SSLSocket) and self.stream.pending():
            data += self.stream.recv(READ_BYTES)
        if not data:
            raise ServerError("The server closed a connection in place of an answer.")
        self.exchanged_bytes += len(data)
        self._received = self._received + data if self._received else data
        if self._length < 0:
            self._length = self._read_head()
        if self._length == 0:
            return self._received.endswith(b"0" + END_OF_HEAD)
        return 0 < self._length <= len(self._received)

    def _read_head(self) -> int:
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return -1
        head = self._received[:end].lower()
        if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
            with suppress(TimeoutError):
                self._received += self.stream.recv(READ_BYTES) if len(self._received) == end + 4 else b""
            shown = self._received[end + 4 : end + 300].decode("utf-8", "replace").strip()
            status = self._received.partition(b"\r\n")[0].decode("latin-1")
            raise ServerError(f"The server answered {status}: {shown} Check the signature and the texts.")
        if b"\r\ncontent-length:" not in head:
            return 0
        return end + len(END_OF_HEAD) + int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])


def _lost(error: OSError) -> ServerError:
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return ServerError(f"The connection to the server was lost: {reason}. Check that it runs.")
