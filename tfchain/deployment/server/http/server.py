"""The HTTP server of the REST API: one thread per connection, with httptools for the protocol."""

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from tfchain.deployment.server.http.connection import Guard, Handler, HttpConnection
from tfchain.deployment.server.listening import open_socket, port_error
from tfchain.deployment.server.tls import shake_hands

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 600.0
_BACKLOG = 1024
_ACCEPT_SECONDS = 0.25
_RETRY_SECONDS = 0.05
_LOG_SECONDS = 10.0
_ROOM_SECONDS = 0.05  # between two looks for a connection that may be closed for another
_FAREWELL_SECONDS = 0.25  # in which clients that ask again and again learn from an answer that it is the last
_FIRST_REQUEST_SECONDS = 0.5  # how long a new connection may take to send its request while the server stops


class Api(Protocol):
    """What answers the requests: the table of endpoints, or the REST API alone."""

    @property
    def answer(self) -> Handler:
        """A function from `(method, target, headers, body)` to an answer."""


class HttpServer:
    """Serves an API over HTTP/1.1, or over HTTPS; owns its socket and threads.

    A thread per connection answers a small request several times as fast as an event loop that hands requests to a pool
    of threads: the loop and the two thread switches cost more than the rest of the answer.

    Args:
        api: The API that answers the requests.
        host: The address to listen on; `0.0.0.0` means all addresses, including IPv6.
        port: The port; 0 lets the system choose.
        num_threads: The number of requests that run at the same time.
        tls: The context of TLS, or None for HTTP in clear.
        guard: Refuses requests early. Default: none are refused.
        listener: A bound socket that other processes accept connections from, too. Default: None, one of its own.
        timeout_ms: The time for a request from its arrival to its answer. Default: None, no limit.
        max_connections: The most open connections. For a further one, the connection is closed that has waited longest
            for a request; while all are within a request, it waits in the system's queue. Default: 1,000.
    """

    def __init__(
        self,
        api: Api,
        *,
        host: str,
        port: int,
        num_threads: int,
        tls: ssl.SSLContext | None = None,
        guard: Guard | None = None,
        listener: socket.socket | None = None,
        timeout_ms: int | None = None,
        max_connections: int = 1000,
    ) -> None:
        self._api = api
        self._timeout_ms = timeout_ms
        self._max_connections = max_connections
        self._tls = tls
        self._guard = guard
        self._host = host
        self._wanted_port = port
        self._slots = threading.BoundedSemaphore(num_threads)
        self._connections: dict[HttpConnection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._one_ended = threading.Condition(self._lock)
        self._closing = threading.Event()
        self._next_log = 0.0
        self._listener = listener
        self._thread: threading.Thread | None = None
        self.port = 0

    def start(self) -> None:
        """Opens the port and serves until `close`.

        Raises:
            ServerError: if the port is in use.
        """
        self._listener = self._listener or open_socket(self._host, self._wanted_port)
        try:
            self._listener.listen(_BACKLOG)
        except OSError as error:  # another process began to listen between bind and listen
            self._listener.close()
            raise port_error(self._host, self._wanted_port, error) from error
        self._listener.settimeout(_ACCEPT_SECONDS)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="http", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Refuses new requests, waits for running requests, and aborts those that exceed the timeout."""
        self._closing.set()
        if self._thread is None or self._listener is None:
            return
        self._thread.join(_ACCEPT_SECONDS + 1.0)
        self._drain(self._listener)
        self._listener.close()
        with self._lock:
            left = dict(self._connections)
        for connection in left:
            connection.is_closing = True  # so that the next answer says that it is the last
        self._say_farewell(left)
        for connection in left:
            connection.finish()
        deadline = time.monotonic() + timeout_seconds
        for connection, thread in left.items():
            thread.join(max(deadline - time.monotonic(), 0.0))
            connection.abort()

    def _say_farewell(self, connections: Mapping[HttpConnection, threading.Thread]) -> None:
        """Gives clients a moment: those that ask again learn that an answer is the last, new ones get theirs."""
        begin = time.monotonic()
        for connection, thread in connections.items():
            seconds = _FAREWELL_SECONDS if connection.has_received else _FIRST_REQUEST_SECONDS
            thread.join(max(begin + seconds - time.monotonic(), 0.0))

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            if self._is_crowded():
                continue  # clients wait in the system's queue, from which other workers may take them
            try:
                stream, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Too many open files, of which some may close soon; a client that is gone; a network that is down.
                self._log_refusal(error)
                self._closing.wait(_RETRY_SECONDS)
                continue
            self._make_room()
            self._begin(stream)

    def _is_crowded(self) -> bool:
        """Returns whether no client may come in, as all others are within requests; waits a little if so."""
        with self._lock:
            is_full = len(self._connections) >= self._max_connections
            if not is_full or any(connection.idle_since is not None for connection in self._connections):
                return False
            self._one_ended.wait(_ROOM_SECONDS)
            return True

    def _make_room(self) -> None:
        """Waits until a client may be served, for whom the connection gives way that has been idle for longest."""
        with self._lock:
            while len(self._connections) >= self._max_connections and not self._closing.is_set():
                idle = [(since, connection) for connection in self._connections if (since := connection.idle_since)]
                if idle:
                    min(idle, key=lambda pair: pair[0])[1].give_way()
                self._one_ended.wait(_ROOM_SECONDS)

    def _drain(self, listener: socket.socket) -> None:
        """Accepts the clients that the system has let in already: closing the port would cut them off."""
        with contextlib.suppress(OSError):  # none is left, or the port is closed already
            listener.settimeout(0.0)
            while True:
                self._begin(listener.accept()[0])

    def _begin(self, stream: socket.socket) -> None:
        """Serves a client in a thread of its own."""
        try:
            stream.setblocking(True)
            if self._tls is not None:
                stream = self._tls.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
            connection = HttpConnection(
                stream,
                self._api.answer,
                slots=self._slots,
                idle_seconds=_IDLE_SECONDS,
                guard=self._guard,
                timeout_ms=self._timeout_ms,
            )
            connection.is_closing = self._closing.is_set()
        except (OSError, ValueError):  # the client is gone already
            stream.close()
            return
        thread = threading.Thread(target=self._serve, args=(connection, stream), name="rest", daemon=True)
        with self._lock:
            self._connections[connection] = thread
        try:
            thread.start()
        except RuntimeError as error:  # no more threads are available
            self._log_refusal(error)
            with self._lock:
                del self._connections[connection]
            stream.close()

    def _serve(self, connection: HttpConnection, stream: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                if isinstance(stream, ssl.SSLSocket):
                    shake_hands(stream)
                connection.run()
        finally:
            with self._lock:
                del self._connections[connection]
                self._one_ended.notify()

    def _log_refusal(self, error: Exception) -> None:
        """Logs that a client was not served, once for a while: it may hold for every client."""
        now = time.monotonic()
        if now >= self._next_log:
            self._next_log = now + _LOG_SECONDS
            logger.error("a client cannot be served, and perhaps others: %s", error)
