"""Clients that hang up, read slowly or close one half; files and threads that run out; closing under load."""

import contextlib
import errno
import http.client
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.server import HttpServer
from tfchain.deployment.server.servables.deadline import Deadline

LARGE = b"x" * 8_000_000
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


class Api:
    """Answers with the body; `/large` with much; counts what it answers."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline) -> Answer:
        with self.lock:
            self.count += 1
        return Answer(200, (), LARGE if target == "/large" else body or b"ok")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def server(api: Any) -> Iterator[HttpServer]:
    made = HttpServer(api, host="127.0.0.1", port=0, num_threads=1)
    made.start()
    yield made
    made.close(0.5)


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def read_all(stream: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := stream.recv(65536):
            data += piece
    return data


def check_answers(server: HttpServer) -> None:
    with connect(server) as stream:
        stream.sendall(GET)
        assert stream.recv(1000).endswith(b"\r\n\r\nok")


def hang_up(stream: socket.socket) -> None:
    """Resets a connection, as a process does that dies with unread bytes."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def wait_for(is_so: Any) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"GET /x HTTP/1.1\r\nHo",
        b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nab",
        b"GET /large HTTP/1.1\r\n\r\n",
    ],
)
def test_a_client_that_hangs_up_at_any_point_leaves_nothing_behind(server: HttpServer, sent: bytes) -> None:
    for _ in range(5):
        stream = connect(server)
        stream.sendall(sent)
        hang_up(stream)
    check_answers(server)
    wait_for(lambda: not server._connections)


def test_a_client_that_hangs_up_in_the_middle_of_an_answer_leaves_nothing_behind(server: HttpServer) -> None:
    for _ in range(3):
        stream = connect(server)
        stream.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        stream.recv(100)
        hang_up(stream)
    check_answers(server)
    wait_for(lambda: not server._connections)


def test_a_client_that_reads_slowly_keeps_no_other_from_an_answer(server: HttpServer) -> None:
    with connect(server) as slow:  # the server works on one request at a time
        slow.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        assert slow.recv(10)
        check_answers(server)
        assert len(read_all(slow)) > len(LARGE)


def test_a_client_that_sends_slowly_keeps_no_other_from_an_answer(server: HttpServer) -> None:
    with connect(server) as slow:
        for byte in b"POST /x HTTP/1.0\r\nContent-Length: 3\r\n\r\nab":
            slow.sendall(bytes([byte]))
        check_answers(server)
        slow.sendall(b"c")
        assert read_all(slow).endswith(b"\r\n\r\nabc")


def test_a_client_that_has_closed_its_half_gets_its_answers(server: HttpServer) -> None:
    with connect(server) as stream:
        stream.sendall(GET * 3)
        stream.shutdown(socket.SHUT_WR)
        assert read_all(stream).count(b"\r\n\r\nok") == 3


def test_without_files_left_the_server_waits_and_serves_later(server: HttpServer) -> None:
    clients = [socket.socket() for _ in range(3)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    filled: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                filled.append(os.dup(clients[0].fileno()))
        for client in clients:
            client.settimeout(5)
            client.connect(("127.0.0.1", server.port))
            client.sendall(GET)
        busy = time.process_time()
        time.sleep(0.4)
        assert time.process_time() - busy < 0.2  # it does not spin
        assert not server._connections
    finally:
        for number in filled:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for client in clients:
        assert client.recv(1000).endswith(b"\r\n\r\nok")
        client.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNABORTED, errno.EPERM, errno.ENETDOWN, errno.EPROTO])
def test_no_error_of_accepting_a_client_ends_the_server(api: Any, number: int) -> None:
    server = HttpServer(api, host="127.0.0.1", port=0, num_threads=1)

    class Listener:
        count = 0

        def accept(self) -> Any:
            self.count += 1
            if self.count > 1:
                server._closing.set()
            raise OSError(number, os.strerror(number))

    listener: Any = Listener()
    server._accept(listener)
    assert listener.count == 2


def test_without_threads_left_a_client_is_refused_and_the_next_one_served(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "rest":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with connect(server) as stream:
        assert read_all(stream) == b""
    monkeypatch.undo()
    check_answers(server)


def test_a_client_that_the_system_let_in_before_the_close_is_answered(server: HttpServer) -> None:
    server._closing.set()
    assert server._thread is not None
    server._thread.join(5)  # nobody accepts any more
    with connect(server) as stream:
        stream.sendall(GET)
        server.close(5.0)
        reply = read_all(stream)
    assert reply.endswith(b"\r\n\r\nok")
    assert b"Connection: close" in reply


def test_a_request_that_arrives_during_the_close_is_answered(server: HttpServer) -> None:
    with connect(server) as stream, connect(server) as idle:
        stream.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        wait_for(lambda: len(server._connections) == 2)
        time.sleep(0.05)
        closer = threading.Thread(target=server.close, args=(5.0,))
        closer.start()
        assert idle.recv(10) == b""  # idle connections are closed by now
        stream.sendall(b"cd")
        reply = read_all(stream)
        closer.join(5)
    assert reply.endswith(b"\r\n\r\nabcd")
    assert b"Connection: close" in reply


def test_closing_under_load_loses_no_request(api: Api) -> None:
    server = HttpServer(api, host="127.0.0.1", port=0, num_threads=4)  # type: ignore[arg-type]
    server.start()
    answered, lost = [0] * 6, []

    def ask(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        while True:
            try:
                connection.request("GET", "/x")
                response = connection.getresponse()
                assert response.read() == b"ok"
                answered[place] += 1
                if place % 2:
                    connection.close()  # the next one needs a new connection
            except ConnectionRefusedError:
                return
            except Exception as error:
                lost.append(repr(error))
                return

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    wait_for(lambda: min(answered) > 10)
    server.close(5.0)
    for thread in threads:
        thread.join(10)
    # A client whose connection is set up while the port closes may be reset before anything of it is read.
    assert [error for error in lost if "ConnectionReset" not in error] == []
    assert sum(answered) == api.count
