"""Odd bytes for the HTTP parser: valid requests whose answers are known, and damaged ones."""

import re
import socket
import threading
from collections.abc import Mapping
from random import Random
from typing import Any

from tfchain.deployment.server.http.connection import HttpConnection
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.servables.deadline import Deadline
from tools.fuzz.mutation import mutate
from tools.fuzz.outcomes import Fault

_TOKENS = (
    *(b"\r\n\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"\r\n "),
    *(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.0"),
    *(
        b"HTTP/1.1",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"GET ",
        b"POST ",
        b"CONNECT a:1 ",
        b"PRI * HTTP/2.0\r\n\r\n",
    ),
    *(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"5\r\nabcde\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"0x5\r\n"),
    *(b"5;ext=1\r\n", b"Content-Length : 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n", b"http://a/"),
    *(b"X: " + b"a" * 70_000, b"X: " + b"b" * 300 + b"\r\n", b": \r\n", b"*", b"\x16\x03\x01\x02\x00\x01", b"\0"),
)
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)*)\r\n")


class FakeStream:
    """A client's socket without a client: hands out pieces, then the end, and keeps what is sent.

    Args:
        pieces: What the client sends, as it arrives.
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in reversed(pieces) if piece]
        self.sent = bytearray()

    def recv(self, _: int) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def setsockopt(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def shutdown(self, how: int) -> None:
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise ValueError(how)

    def __enter__(self) -> "FakeStream":
        return self

    def __exit__(self, *_: object) -> None: ...


def converse(pieces: list[bytes]) -> bytes:
    """Returns all that a connection answers to a client that sends pieces, and then no more."""
    stream: Any = FakeStream(pieces)
    HttpConnection(stream, _echo, slots=threading.Semaphore(1), idle_seconds=1.0).run()
    return bytes(stream.sent)


def make_requests(random: Random) -> tuple[bytes, list[bytes]]:
    """Makes valid requests in a row, and the bodies of the answers that they must get."""
    count = random.choice((1, 1, 2, 3))
    data, expected = b"", []
    for number in range(count):
        body = random.choice((b"", b"hi", b"\r\n\r\n", b"0\r\n\r\nGET /no HTTP/1.1\r\n\r\n", random.randbytes(300)))
        method = b"POST" if body else random.choice((b"GET", b"POST", b"PUT", b"OPTIONS"))
        lines = [method + b" /%d HTTP/1.1" % number, b"Host: x"]
        if random.random() < 0.2:
            lines += [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
        if random.random() < 0.3 and method != b"GET":
            lines.append(b"Transfer-Encoding: chunked")
            trailer = b"X-Name: trailer\r\n" if random.random() < 0.3 else b""
            sent = _chunks(random, body) + b"0\r\n" + trailer + b"\r\n"
        else:
            lines += [b"Content-Length: %d" % len(body)] if body or method != b"GET" else []
            sent = body
        data += b"\r\n" * random.choice((0, 0, 0, 1)) + b"\r\n".join(lines) + b"\r\n\r\n" + sent
        expected.append(b"%s /%d  " % (method, number) + body)
    return data, expected


def check_valid(random: Random) -> str:
    """Checks that valid requests, however they arrive, get their own answers, in order."""
    data, expected = make_requests(random)
    answers = read_answers(converse(split(random, data)))
    if [body for _, body in answers] != expected:
        raise Fault(f"expected {expected!r}, received {answers!r} to {data!r}")
    return "200"


def make_damaged(random: Random) -> bytes:
    """Makes bytes that are nearly HTTP, or not HTTP at all."""
    if random.random() < 0.1:
        return random.randbytes(random.randint(0, 300)) + random.choice((b"", b"\r\n\r\n"))
    return mutate(random, make_requests(random)[0], _TOKENS)


def check_damaged(random: Random, data: bytes) -> str:
    """Checks that damaged bytes get whole answers, the same ones in whatever pieces they arrive."""
    sent = converse([data])
    answers = read_answers(sent)
    if any(status not in (200, 400, 501) for status, _ in answers) or b"500" in sent[:12]:
        raise Fault(f"unexpected status: {answers!r}")
    for _ in range(2):
        again = read_answers(converse(split(random, data)))
        if again != answers:
            raise Fault(f"in pieces the answers are others: {answers!r}, {again!r}")
    return " ".join(str(status) for status, _ in answers[:2]) or "no answer"


def read_answers(sent: bytes) -> list[tuple[int, bytes]]:
    """Reads status and body of all answers.

    Raises:
        Fault: if the bytes are no answers.
    """
    answers = []
    while sent:
        head = _ANSWER.match(sent)
        if head is None:
            raise Fault(f"no HTTP answer: {sent[:200]!r}")
        if head[1] == b"100":
            sent = sent[head.end() :]
            continue
        length = int(re.findall(rb"Content-Length: (\d+)\r\n", head[2])[0])
        is_headless = b"X-Method: HEAD\r\n" in head[2]
        end = head.end() + (0 if is_headless else length)
        if end > len(sent):
            raise Fault(f"a cut answer: {sent[:200]!r}")
        answers.append((int(head[1]), sent[head.end() : end]))
        sent = sent[end:]
    return answers


def split(random: Random, data: bytes) -> list[bytes]:
    """Cuts bytes into random pieces, or into single bytes."""
    if random.random() < 0.2 and len(data) < 2000:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, 6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _chunks(random: Random, body: bytes) -> bytes:
    return b"".join(
        b"%x%s\r\n%s\r\n" % (len(piece), random.choice((b"", b"", b";a=b")), piece)
        for piece in split(random, body)
        if piece
    )


def _echo(method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline) -> Answer:
    text = f"{method} {target} {headers.get('x-name', '')} ".encode() + body
    return Answer(200, (("X-Method", method),), text)
