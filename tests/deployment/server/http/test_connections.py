"""The number of connections: who gives way to whom."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.server import HttpServer
from tfchain.deployment.server.servables.deadline import Deadline

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Api:
    """Answers at once, and `/wait` when the test lets it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline) -> Answer:
        if target == "/wait":
            self.begun.release()
            assert self.go_on.wait(10)
        return Answer(200, (), b"ok")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def server(api: Api) -> Iterator[HttpServer]:
    made = HttpServer(api, host="127.0.0.1", port=0, num_threads=8, max_connections=3)
    made.start()
    yield made
    api.go_on.set()
    made.close(1.0)


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def ask(stream: socket.socket) -> bytes:
    stream.sendall(GET)
    return stream.recv(1000)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_connection_that_has_been_idle_for_longest_gives_way(server: HttpServer) -> None:
    first, second, third = (connect(server) for _ in range(3))
    for stream in (first, second, third, first):  # the second is idle for longest now
        assert ask(stream).endswith(b"ok")
        wait_until(lambda: all(connection.idle_since for connection in server._connections))  # after it has answered
    fourth = connect(server)
    assert ask(fourth).endswith(b"ok")
    assert second.recv(10) == b""
    assert all(ask(stream).endswith(b"ok") for stream in (first, third, fourth))
    for stream in (first, second, third, fourth):
        stream.close()


def test_a_flood_of_silent_connections_keeps_nobody_out(server: HttpServer) -> None:
    flood = [connect(server) for _ in range(40)]
    flood[-1].sendall(b"GET / HT")  # half a head
    with connect(server) as stream:
        assert ask(stream).endswith(b"ok")
    assert len(server._connections) <= 3
    assert flood[0].recv(10) == b""
    for silent in flood:
        silent.close()


def test_who_is_within_a_request_does_not_give_way_and_others_wait(server: HttpServer, api: Api) -> None:
    busy = [connect(server) for _ in range(3)]
    for stream in busy[:2]:
        stream.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert api.begun.acquire(timeout=10)
    busy[2].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")  # half a body
    wait_until(lambda: [connection.idle_since for connection in server._connections] == [None] * 3)
    late = connect(server)
    late.sendall(GET)
    late.settimeout(0.2)
    with pytest.raises(TimeoutError):
        late.recv(10)
    api.go_on.set()
    late.settimeout(10)
    assert late.recv(1000).endswith(b"ok")
    busy[2].sendall(b"b")
    for stream in busy:
        assert stream.recv(1000).endswith(b"ok")
        stream.close()
    late.close()


def test_a_server_that_waits_for_room_can_be_closed(server: HttpServer, api: Api) -> None:
    busy = [connect(server) for _ in range(3)]
    for stream in busy:
        stream.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert api.begun.acquire(timeout=10)
    late = connect(server)
    late.sendall(GET)
    closer = threading.Thread(target=server.close, args=(5.0,))
    closer.start()
    assert late.recv(1000).endswith(b"ok")  # it was let in before
    api.go_on.set()
    assert all(stream.recv(1000).endswith(b"ok") for stream in busy)
    closer.join(10)
    assert not closer.is_alive()
    for stream in (*busy, late):
        stream.close()
