"""The HTTP server of the REST API: one thread per connection, with httptools for the protocol."""

import contextlib
import errno
import socket
import ssl
import threading
import time
from typing import Protocol

from tfchain.deployment.server.http.connection import Handler, HttpConnection
from tfchain.deployment.server.listening import open_socket, port_error
from tfchain.deployment.server.tls import shake_hands

_IDLE_SECONDS = 600.0
_BACKLOG = 1024
_ACCEPT_SECONDS = 0.25
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
        listener: A bound socket that other processes accept connections from, too. Default: None, one of its own.
    """

    def __init__(
        self,
        api: Api,
        *,
        host: str,
        port: int,
        num_threads: int,
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self._api = api
        self._tls = tls
        self._host = host
        self._wanted_port = port
        self._slots = threading.BoundedSemaphore(num_threads)
        self._connections: dict[HttpConnection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = listener
        self._is_shared = listener is not None
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
        if not self._is_shared:  # of a shared socket it would end the listening of all processes
            with contextlib.suppress(OSError):  # not supported on every system; the thread checks for the end itself
                self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_ACCEPT_SECONDS + 1.0)
        self._listener.close()
        with self._lock:
            left = dict(self._connections)
        for connection in left:
            connection.is_closing = True  # mark all before the first client can notice
        new = [thread for connection, thread in left.items() if not connection.has_received]
        for connection in left:
            if connection.has_received:
                connection.finish()
        deadline = time.monotonic() + _FIRST_REQUEST_SECONDS
        for thread in new:
            thread.join(max(deadline - time.monotonic(), 0.0))
        for connection in left:
            connection.finish()
        deadline = time.monotonic() + timeout_seconds
        for connection, thread in left.items():
            thread.join(max(deadline - time.monotonic(), 0.0))
            connection.abort()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                stream, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED):
                    self._closing.wait(0.05)  # too many open files: some may close soon
                    continue
                return
            self._begin(stream)
        if self._is_shared:
            self._empty_queue(listener)

    def _empty_queue(self, listener: socket.socket) -> None:
        """Takes the connections that wait: where no process is left to accept them, their clients would see a reset."""
        listener.settimeout(0.0)
        with contextlib.suppress(OSError):
            for _ in range(_BACKLOG):
                self._begin(listener.accept()[0])

    def _begin(self, stream: socket.socket) -> None:
        """Serves a connection in a thread of its own."""
        stream.setblocking(True)
        if self._tls is not None:
            try:
                stream = self._tls.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):  # the client is gone already
                stream.close()
                return
        connection = HttpConnection(stream, self._api.answer, slots=self._slots, idle_seconds=_IDLE_SECONDS)
        connection.is_closing = self._closing.is_set()
        thread = threading.Thread(target=self._serve, args=(connection, stream), name="rest", daemon=True)
        with self._lock:
            self._connections[connection] = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads are available
            with self._lock:
                del self._connections[connection]
            stream.close()

    def _serve(self, connection: HttpConnection, stream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if isinstance(stream, ssl.SSLSocket):
                shake_hands(stream)
            connection.run()
        with self._lock:
            del self._connections[connection]
