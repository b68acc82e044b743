"""Limits of requests: unpacked bodies, and bodies, headers and turns over a socket."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.deployment.server.http.test_server import read_all
from tfchain.core.errors import InputError
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http import connection
from tfchain.deployment.server.http.limits import BodyError, BodyTooLargeError, RequestLimits, inflate
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router, error_answer
from tfchain.deployment.server.http.server import HttpServer
from tfchain.deployment.server.json.parser import parse_json
from tfchain.deployment.server.json.request import read_predict_request
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.errors import write_tei_error

GZIP = {"content-encoding": "gzip"}


class Echo:
    """Handles requests; `wait` holds them until the test lets them go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.release = threading.Event()

    def wait(self, request: Request) -> Answer:
        self.begun.release()
        assert self.release.wait(10)
        return Answer(200, (), request.body)

    def repeat(self, request: Request) -> Answer:
        return Answer(200, (), request.body)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[HttpServer]:
    """A server with one thread, which takes 100 bytes, and two requests at a time."""

    def write_error(error: StatusError, *, status: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        answer = error_answer(error, status=status, headers=(*headers, ("X-Form", "own")))
        return Answer(answer.status, answer.headers, answer.body)

    limits = RequestLimits(max_body_bytes=100, max_concurrent_requests=2)
    router = Router(lambda *request: Answer(200, (), b"stock %d" % len(request[3])), limits=limits)
    router.add("POST", "/wait", echo.wait, errors=write_error)
    router.add("POST", "/echo", echo.repeat, errors=write_error)
    router.add("GET", "/live", lambda _: Answer(200, (), b"live"))
    made = HttpServer(router, host="127.0.0.1", port=0, num_threads=1, guard=router)
    made.start()
    yield made
    echo.release.set()
    made.close(2.0)


def open_stream(server: HttpServer, sent: bytes) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    stream.sendall(sent)
    return stream


def exchange(server: HttpServer, sent: bytes) -> bytes:
    with open_stream(server, sent) as stream:
        stream.shutdown(socket.SHUT_WR)
        return read_all(stream)


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


@pytest.mark.parametrize("name", [limit.name for limit in fields(RequestLimits)])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be 1 or more. Received: {name}=0."):
        RequestLimits(**{name: 0})


def test_json_is_no_deeper_than_pythons_parser_takes() -> None:
    with pytest.raises(InputError, match="`max_json_depth` must be at most 500, .* Received: max_json_depth=501."):
        RequestLimits(max_json_depth=501)
    deepest = b"[" * 500 + b"]" * 500
    assert parse_json(deepest, 500) == json.loads(deepest)
    with pytest.raises(StatusError, match=r"(?s)JSON Value: \[.* Is not object"):
        read_predict_request(deepest, lambda _: {}, max_depth=500)


def test_bodies_are_unpacked_up_to_the_limit() -> None:
    assert inflate({}, b"plain", 1) == b"plain"
    assert inflate(GZIP, gzip.compress(b"x" * 100, mtime=0), 100) == b"x" * 100
    assert inflate(GZIP, gzip.compress(b"", mtime=0), 100) == b""
    with pytest.raises(BodyTooLargeError, match="at most 100 bytes"):
        inflate(GZIP, gzip.compress(b"x" * 101, mtime=0), 100)
    with pytest.raises(BodyTooLargeError):
        inflate(GZIP, gzip.compress(b"x" * 50_000_000, mtime=0), 100)


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        ("gzip", b"no gzip", "The body is not gzip"),
        ("gzip", gzip.compress(b"x" * 50, mtime=0)[:-9], "must be all of one gzip stream"),
        ("gzip", gzip.compress(b"x", mtime=0) + b"more", "must be all of one gzip stream"),
        ("br", b"", "Received: Content-Encoding: br."),
    ],
)
def test_a_broken_body_is_an_error(encoding: str, body: bytes, error: str) -> None:
    with pytest.raises(StatusError, match=error):
        inflate({"content-encoding": encoding}, body, 100)


def test_a_body_too_large_is_refused_before_it_is_read(server: HttpServer) -> None:
    with open_stream(server, head("/echo", "Content-Length: 101")) as stream:
        reply = read_all(stream)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"X-Form: own" in reply
    assert b"Connection: close" in reply
    assert b"must have at most 100 bytes" in reply
    assert exchange(server, head("/echo", "Content-Length: 100") + b"x" * 100).endswith(b"x" * 100)


def test_a_client_that_asks_before_it_sends_is_refused_at_once(server: HttpServer) -> None:
    reply = exchange(server, head("/echo", "Content-Length: 101", "Expect: 100-continue"))
    assert reply.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_refused_when_it_exceeds_the_limit(server: HttpServer) -> None:
    chunk = b"32\r\n" + b"x" * 50 + b"\r\n"
    chunked = head("/echo", "Transfer-Encoding: chunked")
    assert exchange(server, chunked + chunk * 2 + b"0\r\n\r\n").endswith(b"x" * 100)
    with open_stream(server, chunked + chunk * 3) as stream:  # and there is no end
        reply = read_all(stream)
    assert (reply.count(b"HTTP/1.1 "), reply[:13]) == (1, b"HTTP/1.1 413 ")


def test_a_packed_body_is_refused_when_it_exceeds_the_limit(server: HttpServer) -> None:
    packed = gzip.compress(b"x" * 101, mtime=0)
    sent = head("/echo", f"Content-Length: {len(packed)}", "Content-Encoding: gzip") + packed
    assert exchange(server, sent).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", ["/nope", "/live", "/v1/models/m:predict"])
def test_other_paths_take_no_large_body_either(server: HttpServer, path: str) -> None:
    assert exchange(server, head(path, "Content-Length: 101")).startswith(b"HTTP/1.1 413 ")


def test_a_request_too_many_is_refused_and_later_ones_are_not(server: HttpServer, echo: Echo) -> None:
    first = open_stream(server, head("/wait", "Content-Length: 1") + b"1")
    assert echo.begun.acquire(timeout=5)
    second = open_stream(server, head("/wait", "Content-Length: 1") + b"2")  # waits for the thread
    time.sleep(0.2)  # and has come before the third
    reply, deadline = b"", time.monotonic() + 5
    while not reply.startswith(b"HTTP/1.1 429 ") and time.monotonic() < deadline:
        with open_stream(server, head("/echo", "Content-Length: 0")) as third:
            third.settimeout(0.2)
            try:
                reply = third.recv(1000)
            except TimeoutError:
                continue  # it came before the second
    assert b"Retry-After: 1\r\n" in reply
    assert b"X-Form: own" in reply
    echo.release.set()
    for stream, body in ((first, b"1"), (second, b"2")):
        with stream:
            stream.shutdown(socket.SHUT_WR)
            assert read_all(stream).endswith(body)
    assert exchange(server, head("/echo", "Content-Length: 2") + b"ok").endswith(b"ok")


def test_a_slow_header_and_a_slow_body_end_the_connection(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.3)
    monkeypatch.setattr(connection, "_BODY_SECONDS", 0.2)
    for sent in (b"", b"POST /echo HT", head("/echo", "Content-Length: 5") + b"x"):
        start = time.monotonic()
        with open_stream(server, sent) as stream:
            assert stream.recv(100) == b""
        assert 0.1 < time.monotonic() - start < 3


def test_a_header_that_drips_has_one_deadline(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.4)
    assert 0.2 < drip(server, b"G", b"E") < 2.5


def test_a_body_that_drips_has_the_time_that_its_bytes_earn(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_BODY_SECONDS", 0.4)
    assert 0.2 < drip(server, head("/echo", "Content-Length: 50"), b"x") < 2.5
    monkeypatch.setattr(connection, "_LEAST_RATE", 5.0)  # ten bytes in a second are enough now
    start = time.monotonic()
    with open_stream(server, head("/echo", "Content-Length: 10", "Connection: close")) as stream:
        for _ in range(10):
            time.sleep(0.1)
            stream.sendall(b"x")
        assert read_all(stream).endswith(b"x" * 10)
    assert time.monotonic() - start > 0.9


def drip(server: HttpServer, begin: bytes, drop: bytes) -> float:
    """Sends a byte every tenth of a second, and returns after how many seconds the server ends the connection."""
    start = time.monotonic()
    with open_stream(server, begin) as stream:
        stream.settimeout(0.1)
        while time.monotonic() - start < 3:
            try:
                stream.sendall(drop)
                assert stream.recv(1) == b""
                break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
    return time.monotonic() - start


def test_a_connection_may_be_idle_between_requests(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.2)
    with open_stream(server, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n") as stream:
        assert stream.recv(1000).endswith(b"live")
        time.sleep(0.5)
        stream.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(1000).endswith(b"live")


def test_a_probe_is_answered_while_every_thread_is_busy(echo: Echo) -> None:
    router = Router(lambda *_: Answer(200, (), b""))
    router.add("POST", "/wait", echo.wait)
    router.add("GET", "/live", echo.repeat, is_light=True)
    server = HttpServer(router, host="127.0.0.1", port=0, num_threads=1, guard=router)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10) as busy:
            busy.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            assert echo.begun.acquire(timeout=10)
            with socket.create_connection(("127.0.0.1", server.port), 10) as probe:
                probe.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert read_all(probe).startswith(b"HTTP/1.1 200 ")
            echo.release.set()
            assert busy.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        echo.release.set()
        server.close(1.0)


def test_a_large_body_without_a_key_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("right\n")
    router = Router(lambda *_: Answer(200, (), b"answered"), keys=ApiKeys(tmp_path / "keys"))
    server = HttpServer(router, host="127.0.0.1", port=0, num_threads=1, guard=router)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10) as stream:
            head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            stream.sendall(head + b"Content-Length: 1000000\r\n\r\n")
            assert read_all(stream).startswith(b"HTTP/1.1 401 ")  # no 100 Continue before it
    finally:
        server.close(1.0)


@pytest.mark.parametrize(
    ("headers", "body"),
    [(GZIP, b"no gzip"), (GZIP, gzip.compress(b"a", mtime=0) + b"b"), ({"content-encoding": "br"}, b"x")],
)
def test_a_body_that_cannot_be_unpacked_is_a_fault_of_its_own_kind(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BodyError):
        inflate(headers, body, 100)
    assert write_tei_error(BodyError("x")).status == 422


def test_a_request_whose_time_is_up_before_its_turn_is_told_so(echo: Echo) -> None:
    router = Router(lambda *_: Answer(200, (), b"stock"))
    router.add("POST", "/wait", echo.wait)
    router.add("POST", "/embed", echo.repeat, errors=write_tei_error)
    server = HttpServer(router, host="127.0.0.1", port=0, num_threads=1, guard=router, timeout_ms=50)
    server.start()
    try:
        busy = open_stream(server, head("/wait", "Content-Length: 1") + b"1")
        assert echo.begun.acquire(timeout=5)
        reply = exchange(server, head("/v1/models/m:predict", "Content-Length: 0"))
        assert reply.startswith(b"HTTP/1.1 504 ")
        assert reply.endswith(b'{\n    "error": "Timed out waiting for notification"\n}')
        assert b'"error_type"' in exchange(server, head("/embed", "Content-Length: 0"))
        echo.release.set()
        assert busy.recv(1000).startswith(b"HTTP/1.1 200 ")
        busy.close()
        assert exchange(server, head("/v1/models/m:predict", "Content-Length: 0")).endswith(b"stock")
        assert router.enter("POST", "/x") is None  # those that gave up have left
    finally:
        echo.release.set()
        server.close(1.0)


def test_the_time_that_a_request_waits_is_taken_from_its_run(echo: Echo) -> None:
    left: list[int | None] = []

    def note(request: Request) -> Answer:
        left.append(request.deadline.left_ms() if request.deadline is not None else None)
        return Answer(200, (), b"")

    router = Router(lambda *_: Answer(200, (), b"stock"))
    router.add("POST", "/wait", echo.wait)
    router.add("POST", "/note", note)
    server = HttpServer(router, host="127.0.0.1", port=0, num_threads=1, guard=router, timeout_ms=20_000)
    server.start()
    try:
        with open_stream(server, head("/wait", "Content-Length: 1") + b"1"):
            assert echo.begun.acquire(timeout=5)
            with open_stream(server, head("/note", "Content-Length: 0")) as waiting:
                waiting.settimeout(0.15)  # 50 ms count, the rest is for a busy machine to read the request
                with pytest.raises(TimeoutError):
                    waiting.recv(10)
                echo.release.set()
                waiting.settimeout(5)
                assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert left[0] is not None
        assert left[0] <= 19_950
    finally:
        echo.release.set()
        server.close(1.0)
