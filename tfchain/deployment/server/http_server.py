"""The HTTP server: uvicorn in a thread of its own, in front of the REST API."""

import asyncio
import errno
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from tfchain.core.errors import ServerError
from tfchain.deployment.server.rest import Answer, RestApi

Message = MutableMapping[str, Any]
_KEEP_ALIVE_SECONDS = 600
_BACKLOG = 1024


class HttpServer:
    """Serves a REST API over HTTP/1.1; owns its socket and its threads.

    Args:
        api: Answers the requests.
        host: The address to listen on; `0.0.0.0` means every address, of IPv6 too.
        port: The port; 0 lets the system choose.
        num_threads: How many requests are worked on at the same time.
    """

    def __init__(self, api: RestApi, *, host: str, port: int, num_threads: int) -> None:
        self._api = api
        self._host = host
        self._wanted_port = port
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="rest")
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    def start(self, timeout_seconds: float = 10.0) -> None:
        """Opens the port and serves until `close`.

        Raises:
            ServerError: if the port is in use, or the server does not come up.
        """
        listener = open_socket(self._host, self._wanted_port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http="httptools",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + timeout_seconds
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                self.close(0.0)
                raise ServerError(f"The HTTP server on port {self.port} did not start. See the log above.")
            time.sleep(0.005)

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Takes no more requests, waits for those that run, and gives up on what takes longer."""
        if self._server is not None and self._thread is not None:
            self._server.config.timeout_graceful_shutdown = max(int(timeout_seconds), 1)
            self._server.should_exit = True
            self._thread.join(timeout_seconds + 2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _app(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        pieces: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._work, scope, b"".join(pieces))
        lines = [(name.encode(), value.encode()) for name, value in answer.headers]
        lines.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": lines})
        await send({"type": "http.response.body", "body": answer.body})

    def _work(self, scope: Message, body: bytes) -> Answer:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return self._api.answer(scope["method"], target, headers, body)


def open_socket(host: str, port: int) -> socket.socket:
    """Binds a TCP socket that shares its port with no other process; it does not listen yet.

    Raises:
        ServerError: if the address cannot be had.
    """
    wanted: list[tuple[socket.AddressFamily | None, str]] = [(None, host)]
    if host == "0.0.0.0":
        wanted.insert(0, (socket.AF_INET6, "::"))  # with IPv4 on the same socket
    for position, (family, address) in enumerate(wanted, 1):
        try:
            return _bind(family, address, port)
        except OSError as error:
            if position == len(wanted) or error.errno == errno.EADDRINUSE:
                raise ServerError(
                    f"Port {port} on {host} cannot be opened: {error.strerror or error}. "
                    "Stop what uses it, or choose another port."
                ) from error
    raise AssertionError("the loop ends in a return or in an error")


def _bind(family: socket.AddressFamily | None, address: str, port: int) -> socket.socket:
    if family is None:
        family, _, _, _, _ = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    # The protocol is named because asyncio sends small packets at once (TCP_NODELAY) only on sockets that name it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
    except BaseException:
        listener.close()
        raise
    return listener
