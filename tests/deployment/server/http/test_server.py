"""HTTP itself, in front of an API that repeats what it was asked."""

import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tfchain.core.errors import ServerError
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.server import HttpServer
from tfchain.deployment.server.listening import open_socket
from tfchain.deployment.server.servables.deadline import Deadline


class EchoApi:
    """Answers with the request; `/wait` waits until the test lets it go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline) -> Answer:
        if target == "/wait":
            self.begun.set()
            assert self.release.wait(10)
        return Answer(200, (("X-Name", headers.get("x-name", "")),), f"{method} {target} ".encode() + body)


@pytest.fixture
def api() -> EchoApi:
    return EchoApi()


@pytest.fixture
def server(api: Any) -> Iterator[HttpServer]:
    made = HttpServer(api, host="127.0.0.1", port=0, num_threads=4)
    made.start()
    yield made
    made.close(2.0)


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def exchange(server: HttpServer, *pieces: bytes) -> bytes:
    """Sends pieces one by one, and reads until the server closes."""
    with connect(server) as stream:
        for piece in pieces:
            stream.sendall(piece)
        stream.shutdown(socket.SHUT_WR)
        return read_all(stream)


def read_all(stream: socket.socket) -> bytes:
    data = b""
    while piece := stream.recv(65536):
        data += piece
    return data


def body_of(reply: bytes) -> bytes:
    return reply.partition(b"\r\n\r\n")[2]


def test_a_request_in_pieces_is_put_together(server: HttpServer) -> None:
    reply = exchange(
        server, b"POST /a%20b?c=d HTTP/1.1\r\nHos", b"t: x\r\nX-NAME: n\r\nContent-Length: 4\r\n\r\nab", b"cd"
    )
    assert reply.startswith(b"HTTP/1.1 200 OK\r\nX-Name: n\r\nDate: ")
    assert b"\r\nContent-Length: 20\r\n" in reply
    assert body_of(reply) == b"POST /a%20b?c=d abcd"


def test_a_chunked_body_is_put_together(server: HttpServer) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert body_of(exchange(server, head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")) == b"POST /x abcde"


def test_requests_sent_at_once_are_answered_in_order(server: HttpServer) -> None:
    reply = exchange(server, b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in (1, 2, 3)))
    places = [reply.index(b"GET /%d " % number) for number in (1, 2, 3)]
    assert places == sorted(places)
    assert reply.count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_waits_before_its_body_is_told_to_go_on(server: HttpServer) -> None:
    with connect(server) as stream:
        stream.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert stream.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        stream.sendall(b"hi")
        assert body_of(stream.recv(1000)) == b"POST /x hi"


def test_an_offer_to_change_the_protocol_is_passed_over(server: HttpServer) -> None:
    # what some HTTP/2 clients send with their first request
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    with connect(server) as stream:
        stream.sendall(b"POST /1 HTTP/1.1\r\nHost: x\r\n" + upgrade + b"Content-Length: 2\r\n\r\nhi")
        assert body_of(stream.recv(1000)) == b"POST /1 hi"
        stream.sendall(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert body_of(stream.recv(1000)) == b"GET /2 "


def test_an_old_client_is_closed_on_and_a_whole_url_is_a_path(server: HttpServer) -> None:
    with connect(server) as stream:
        stream.sendall(b"GET http://example.com/v1?x HTTP/1.0\r\n\r\n")
        reply = read_all(stream)
    assert b"\r\nConnection: close\r\n" in reply
    assert body_of(reply) == b"GET /v1?x "


def test_a_head_request_gets_no_body(server: HttpServer) -> None:
    reply = exchange(server, b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"\r\nContent-Length: 8\r\n" in reply
    assert body_of(reply) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"no http at all\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_bad_request_and_the_end(server: HttpServer, request_bytes: bytes) -> None:
    with connect(server) as stream:
        stream.sendall(request_bytes)
        reply = stream.recv(1000)
        assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"Connection: close" in reply
    assert body_of(exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")) == b"GET /x "


def test_large_bodies_go_both_ways(server: HttpServer) -> None:
    body = b"x" * 5_000_000
    reply = exchange(server, b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n", body)
    assert body_of(reply) == b"POST /x " + body


def test_closing_finishes_the_request_that_runs_and_ends_idle_connections(server: HttpServer, api: EchoApi) -> None:
    with connect(server) as idle, connect(server) as busy:
        busy.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert api.begun.wait(5)
        closer = threading.Thread(target=server.close, args=(5.0,))
        closer.start()
        assert idle.recv(10) == b""
        api.release.set()
        reply = read_all(busy)
        assert body_of(reply) == b"GET /wait "
        assert b"\r\nConnection: close\r\n" in reply
        closer.join(5)
        assert not closer.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_a_client_that_leaves_in_the_middle_harms_no_other(server: HttpServer) -> None:
    for _ in range(3):
        with connect(server) as stream:
            stream.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    assert body_of(exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")) == b"GET /x "


def test_an_answer_reaches_a_client_that_is_still_sending(server: HttpServer) -> None:
    # Closed with unread bytes, a socket is reset, and the client's system throws the answer away.
    with connect(server) as stream:
        stream.sendall(b"no http at all\r\n\r\n" + b"x" * 4_000_000)
        stream.shutdown(socket.SHUT_WR)
        assert read_all(stream).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_no_more_requests_are_worked_on_than_there_are_threads(api: EchoApi) -> None:
    server = HttpServer(api, host="127.0.0.1", port=0, num_threads=1)  # type: ignore[arg-type]
    server.start()
    with connect(server) as busy, connect(server) as waiting:
        busy.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert api.begun.wait(5)
        waiting.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1000)
        api.release.set()
        waiting.settimeout(5)
        assert body_of(waiting.recv(1000)) == b"GET /x "
        assert body_of(busy.recv(1000)) == b"GET /wait "
    server.close(2.0)


def test_closing_ends_the_connection_of_a_request_that_takes_too_long(api: EchoApi) -> None:
    server = HttpServer(api, host="127.0.0.1", port=0, num_threads=1)  # type: ignore[arg-type]
    server.start()
    with connect(server) as busy:
        busy.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert api.begun.wait(5)
        server.close(0.05)
        assert busy.recv(1000) == b""
    api.release.set()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nX-Name: a\0b\r\n\r\n",
        b"GET /x HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # a client that speaks TLS
    ],
)
def test_odd_http_is_a_bad_request_and_the_server_goes_on(server: HttpServer, request_bytes: bytes) -> None:
    assert exchange(server, request_bytes).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body_of(exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")) == b"GET /x "


def test_a_port_in_use_is_one_clear_error(server: HttpServer, api: Any) -> None:
    with pytest.raises(ServerError, match=f"Port {server.port} on 127.0.0.1 cannot be opened: Address already in use"):
        HttpServer(api, host="127.0.0.1", port=server.port, num_threads=1).start()
    with pytest.raises(ServerError, match=r"on 203\.0\.113\.1 cannot be opened"):
        open_socket("203.0.113.1", 0)
    with pytest.raises(ServerError, match=r"on no\.such\.host\.invalid cannot be opened"):
        open_socket("no.such.host.invalid", 0)


def test_every_address_means_ipv4_and_ipv6(api: Any) -> None:
    server = HttpServer(api, host="0.0.0.0", port=0, num_threads=1)
    server.start()
    with connect(server) as stream:
        stream.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        assert body_of(read_all(stream)) == b"GET /x "
    server.close()


GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


def test_servers_that_share_a_socket_close_without_ending_each_other(api: Any) -> None:
    listener = open_socket("127.0.0.1", 0)
    servers = [HttpServer(api, host="", port=0, num_threads=1, listener=end) for end in (listener.dup(), listener)]
    for each in servers:
        each.start()
    assert servers[0].port == servers[1].port
    servers[0].close(2.0)
    for _ in range(5):
        assert body_of(exchange(servers[1], GET)) == b"GET /x "
    servers[1].close(2.0)
    with pytest.raises(ConnectionRefusedError):
        connect(servers[1])


def test_a_server_that_shares_its_socket_answers_the_connections_that_wait_when_it_stops(api: Any) -> None:
    server = HttpServer(api, host="", port=0, num_threads=1, listener=open_socket("127.0.0.1", 0))
    server._closing.set()  # as if the stop came before the thread could accept anything
    assert server._listener is not None
    server._listener.listen()
    server.port = server._listener.getsockname()[1]
    with connect(server) as first, connect(server) as second:
        for stream in (first, second):
            stream.sendall(GET)
        server.start()
        server.close(5.0)
        for stream in (first, second):
            answer = read_all(stream)
            assert body_of(answer) == b"GET /x "
            assert b"\r\nConnection: close\r\n" in answer


def test_a_new_connection_may_send_its_first_request_while_the_server_stops(api: Any) -> None:
    server = HttpServer(api, host="127.0.0.1", port=0, num_threads=1)
    server.start()
    with connect(server) as stream:
        while not server._connections:
            assert server._thread is not None
            server._thread.join(0.001)
        thread = threading.Thread(target=server.close, args=(5.0,))
        thread.start()
        while not server._closing.is_set():
            thread.join(0.001)
        stream.sendall(GET)
        assert body_of(read_all(stream)) == b"GET /x "
        thread.join(5)
    assert not thread.is_alive()
