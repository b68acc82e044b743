"""Where a request ends: the rules of RFC 9112 that keep one client's bytes from becoming another request."""

import pytest

from tools.fuzz.http import converse, read_answers

GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


def post(headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /first HTTP/" + version + b"\r\nHost: x\r\n" + headers + b"\r\n" + body


def ask(*pieces: bytes) -> list[tuple[int, bytes]]:
    return read_answers(converse(list(pieces)))


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
        post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"),
        post(b"Content-Length: 2, 2\r\n", b"ab"),
        post(b"Content-Length: +2\r\n", b"ab"),
        post(b"Content-Length: 0x2\r\n", b"ab"),
        post(b"Content-Length:\r\n"),
        post(b"Content-Length : 2\r\n", b"ab"),
        post(b"Content-Length: 2\r\n 3\r\n", b"ab"),
        post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        post(CHUNKED + CHUNKED.replace(b"chunked", b"xchunked"), b"0\r\n\r\n"),
        post(CHUNKED, b"0x1\r\na\r\n0\r\n\r\n"),
        post(CHUNKED, b"1\na\n0\n\n"),
        post(CHUNKED, b"10000000000000000\r\na\r\n0\r\n\r\n"),
        post(CHUNKED, b"1\r\nab\r\n0\r\n\r\n"),
        post(CHUNKED, b"-1\r\n\r\n"),
        post(CHUNKED, b"0\r\n\r\n", version=b"1.0"),  # an old proxy would not see the chunks
        post(b"Connection: keep-alive\r\n" + CHUNKED, b"0\r\n\r\n", version=b"1.0"),
        post(b"X: a\rb\r\n"),
        post(b"X: a\0b\r\n"),
        post(b"", version=b"0.9"),
        post(b"", version=b"2.0"),
        post(b"", version=b"1.2"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /first\r\n\r\n",
        b"GET /first RTSP/1.0\r\n\r\n",
        b"GET  /first HTTP/1.1\r\n\r\n",
        b"GET\t/first HTTP/1.1\r\n\r\n",
        post(b"X: " + b"a" * 70_000 + b"\r\n"),
        post(b"X: a\r\n" * 12_000),
    ],
)
def test_what_has_no_certain_end_is_refused_and_nothing_after_it_is_read(request_bytes: bytes) -> None:
    assert ask(request_bytes + GET) == [(400, b"<H1>Bad Request</H1>\n")]
    assert ask(*(request_bytes[at : at + 100] for at in range(0, len(request_bytes), 100)), GET)[0][0] == 400


def test_a_coding_that_is_not_known_is_not_implemented() -> None:
    body = b"2\r\nab\r\n0\r\n\r\n"
    for coding in (b"gzip, chunked", b"identity"):
        answers = ask(post(b"Transfer-Encoding: " + coding + b"\r\n", body) + GET)
        assert answers == [(501, b"<H1>Not Implemented</H1>\n")]


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\nHost: x\n\n", b"\0", b"hello\r\nworld\r\n", b" GET"],
)
def test_another_protocol_is_refused_before_it_is_complete(request_bytes: bytes) -> None:
    # without waiting for an empty line, which may never come
    assert ask(request_bytes) == [(400, b"<H1>Bad Request</H1>\n")]


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET ", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHost", b"\r\n", b"PATCH /x"]
)
def test_a_beginning_of_a_request_is_waited_for(beginning: bytes) -> None:
    assert ask(beginning) == []


def test_each_of_several_requests_may_offer_another_protocol() -> None:
    chunked = post(UPGRADE + CHUNKED, b"2\r\nde\r\n1;a=b\r\nf\r\n0\r\n\r\n")
    sent = (
        post(UPGRADE + b"Content-Length: 3\r\n", b"abc")
        + chunked
        + post(UPGRADE + b"Content-Length: 1\r\n", b"g")
        + GET
    )
    answers = [(200, b"POST /first  abc"), (200, b"POST /first  def"), (200, b"POST /first  g"), (200, b"GET /next  ")]
    assert ask(sent) == answers
    for size in (1, 2, 3, 7):
        assert ask(*(sent[at : at + size] for at in range(0, len(sent), size))) == answers


def test_a_body_that_looks_like_a_request_is_a_body() -> None:
    body = b"\r\n\r\n0\r\n\r\n" + GET
    sized = post(b"Content-Length: %d\r\n" % len(body), body)
    chunked = post(CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    answers = [(200, b"POST /first  " + body)] * 2 + [(200, b"GET /next  ")]
    sent = sized + chunked + GET
    assert ask(sent) == answers
    assert ask(*(sent[at : at + 1] for at in range(len(sent)))) == answers


def test_lines_after_a_chunked_body_are_no_headers() -> None:
    trailers = b"0\r\nX-Name: trailer\r\nAuthorization: Bearer stolen\r\n\r\n"
    assert ask(post(b"X-Name: header\r\n" + CHUNKED, b"1\r\na\r\n" + trailers) + GET) == [
        (200, b"POST /first header a"),
        (200, b"GET /next  "),
    ]


def test_an_old_client_is_not_told_to_go_on() -> None:
    expect = b"Expect: 100-continue\r\nContent-Length: 2\r\n"
    assert b"100 Continue" in converse([post(expect, b"ab")])
    assert b"100 Continue" not in converse([post(expect, b"ab", version=b"1.0")])


def test_empty_lines_before_a_request_are_passed_over() -> None:
    assert ask(b"\r\n\r\n" + post(UPGRADE + b"Content-Length: 2\r\n", b"ab") + b"\r\n" + GET) == [
        (200, b"POST /first  ab"),
        (200, b"GET /next  "),
    ]


def test_codings_in_several_lines_are_all_seen() -> None:
    lines = b"Transfer-Encoding: gzip\r\n" + CHUNKED
    assert [status for status, _ in ask(post(lines, b"1\r\na\r\n0\r\n\r\n") + GET)] == [501]
