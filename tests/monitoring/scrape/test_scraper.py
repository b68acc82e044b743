"""A server's metrics are fetched in time, or there is one clear error."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tfchain.core.errors import InputError, ServerError
from tfchain.monitoring.scrape.scraper import Scraper

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def listen(answer: Callable[[socket.socket, bytes], None], connections: int = 1) -> Iterator[str]:
    """A server of one connection, or some, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            for _ in range(connections):
                connection, _ = server.accept()
                with connection:
                    answer(connection, connection.recv(4096))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


def test_tensorflow_servings_path_is_asked_with_the_key_unless_another_is_named() -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\nup 1\n")

    with listen(answer) as url:
        assert Scraper(url, api_key="k").scrape().total("up") == 1
    with listen(answer) as url:
        Scraper(f"{url}/metrics?a=b").scrape()
    assert seen[0].startswith(b"GET /monitoring/prometheus/metrics HTTP/1.1\r\n")
    assert b"Authorization: Bearer k\r\n" in seen[0]
    assert seen[1].startswith(b"GET /metrics?a=b HTTP/1.1\r\n")


def test_the_embedded_servers_page_is_asked_where_tensorflow_servings_is_not() -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        found = HEAD + b"Content-Length: 5\r\n\r\nup 1\n" if request.startswith(b"GET /metrics ") else MISSING
        connection.sendall(found)

    with listen(answer, 2) as url:
        assert Scraper(url).scrape().total("up") == 1
    with listen(answer) as url, pytest.raises(ServerError, match="/stats answered with status 404"):
        Scraper(f"{url}/stats").scrape()


def test_a_server_that_hangs_ends_in_one_error() -> None:
    released = threading.Event()
    with listen(lambda *_: released.wait(10) and None) as url:
        with pytest.raises(ServerError, match=r"did not answer within 0\.2 s"):
            Scraper(url, timeout_seconds=0.2).scrape()
        released.set()


@pytest.mark.parametrize("start", [b"H", HEAD + b"\r\n"])
def test_a_server_that_drips_ends_in_one_error(start: bytes) -> None:
    """Each byte arrives in time, and the page never does."""
    stopped = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while not stopped.wait(0.02):
            try:
                connection.sendall(b"#")
            except OSError:
                return

    with listen(answer) as url:
        begin = time.monotonic()
        with pytest.raises(ServerError, match=r"did not answer within 0\.3 s"):
            Scraper(url, timeout_seconds=0.3).scrape()
        assert time.monotonic() - begin < 5
        stopped.set()


def test_errors_say_what_to_do() -> None:
    def refuse(connection: socket.socket, _: bytes) -> None:
        connection.sendall(MISSING)

    with listen(refuse, 2) as url, pytest.raises(ServerError, match="404. Start TensorFlow Serving with --monitoring_"):
        Scraper(url).scrape()
    with listen(lambda connection, _: connection.close()) as url, pytest.raises(ServerError, match="cannot be read"):
        Scraper(url).scrape()
    with pytest.raises(ServerError, match="Is the server running"):
        Scraper(url).scrape()  # nobody listens any more
    with pytest.raises(InputError, match="Received: 'localhost:8501'"):
        Scraper("localhost:8501")
    with pytest.raises(InputError, match="must be above 0"):
        Scraper(url, timeout_seconds=0)
