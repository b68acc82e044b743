"""Clients that cost little: many connections in one thread, each request written once, answers counted and not parsed.

A client on the server's own cores takes time from it; these take less than 0.1 ms of the processor for a request. All
servers are asked by the same ones. What the answers say is
checked before and after the measurement.
"""

import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from services import MODEL_NAME

_READ_BYTES = 256 * 1024
_TIMEOUT_SECONDS = 60.0
_END = b"\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_WINDOW = 2**31 - 1
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Client(Protocol):
    """A connection that has one request at a time."""

    def fileno(self) -> int:
        """Returns the socket's descriptor."""

    def ask(self, text: str) -> None:
        """Sends the request for a text."""

    def receive(self) -> bool:
        """Reads what has come; returns whether the answer is complete. Raises a RuntimeError if it is an error."""

    def read_ids(self) -> Any:
        """Returns the ids of the documents in the last answer."""

    def close(self) -> None:
        """Closes the connection."""


class HttpClient:
    """A connection over HTTP/1.1 that is kept alive.

    Args:
        port: The server's port.
        path: The path of all requests.
        to_body: From a text to the values of the JSON body.
        to_hits: From the values of an answer to those with `ids`.
    """

    def __init__(
        self,
        port: int,
        path: str,
        to_body: Callable[[str], dict[str, Any]],
        to_hits: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._stream = _connect(port)
        self._head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self._to_body = to_body
        self._to_hits = to_hits
        self._requests: dict[str, bytes] = {}
        self._received = b""
        self._body_at = 0
        self._left = -1  # bytes of the answer that have not come; -1 before its head is complete

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()

    def ask(self, text: str) -> None:
        request = self._requests.get(text)
        if request is None:
            body = json.dumps(self._to_body(text)).encode()
            request = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            self._requests[text] = request
        self._received, self._left = b"", -1
        self._stream.sendall(request)

    def receive(self) -> bool:
        data = self._stream.recv(_READ_BYTES)
        if not data:
            raise RuntimeError(f"The server closed the connection after {self._received[:300]!r}")
        self._received = self._received + data if self._received else data
        if self._left < 0:
            end = self._received.find(_END)
            if end < 0:
                return False
            head = self._received[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"The server answered {self._received[:300]!r}")
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            self._body_at = end + len(_END)
            self._left = self._body_at + length - len(self._received)
        else:
            self._left -= len(data)
        return self._left <= 0

    def read_ids(self) -> Any:
        return self._to_hits(json.loads(self._received[self._body_at :]))["ids"]


class GrpcClient:
    """A connection over gRPC (HTTP/2) that makes one call of Predict after the other.

    Args:
        port: The server's port.
    """

    def __init__(self, port: int) -> None:
        self._stream = _connect(port)
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": _PREDICT,
            ":authority": f"127.0.0.1:{port}",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        self._head = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in fields.items())
        self._messages: dict[str, bytes] = {}
        self._call = -1
        self._received = b""
        self._message = b""
        self._taken = 0  # bytes of the connection's window
        settings = struct.pack(">HIHI", 3, 100, 4, _WINDOW)  # concurrent streams; the window of each
        self._stream.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW - 65535))
        )

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()

    def ask(self, text: str) -> None:
        message = self._messages.get(text)
        if message is None:
            message = _write_predict(text)
            self._messages[text] = message = struct.pack(">BI", 0, len(message)) + message
        self._call += 2
        self._message = b""
        self._stream.sendall(
            _frame(_HEADERS, _END_HEADERS, self._call, self._head) + _frame(_DATA, _END_STREAM, self._call, message)
        )

    def receive(self) -> bool:
        data = self._stream.recv(_READ_BYTES)
        if not data:
            raise RuntimeError("The server closed the connection.")
        data = self._received + data
        at, is_complete = 0, False
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if len(data) < end:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            is_complete |= self._take(data[at + 3], data[at + 4], stream, data[at + 9 : end])
            at = end
        self._received = data[at:]
        return is_complete

    def read_ids(self) -> Any:
        from tensorflow_serving.apis import predict_pb2

        answer = predict_pb2.PredictResponse.FromString(self._message[5:])
        return [value.decode() for value in answer.outputs["ids"].string_val]

    def _take(self, kind: int, flags: int, stream: int, content: bytes) -> bool:
        """Takes a frame; returns whether it is the end of the answer."""
        if kind == _DATA and stream == self._call:
            self._message = self._message + content if self._message else content
            self._taken += len(content)
            if self._taken > _WINDOW // 2:
                self._stream.sendall(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._taken)))
                self._taken = 0
        elif kind == _HEADERS and stream == self._call and flags & _END_STREAM:
            if not self._message:  # only calls that succeed have a message
                raise RuntimeError(f"The call failed, with the trailers {content!r}")
            return True
        elif kind == _SETTINGS and not flags & _ACK:
            self._stream.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._stream.sendall(_frame(_PING, _ACK, 0, content))
        elif kind in (_RST_STREAM, _GOAWAY):
            raise RuntimeError(f"The server ended the call: {content!r}")
        return False


def ask_once(client: Client, text: str) -> Any:
    """Asks, waits for the answer, and returns the ids in it."""
    client.ask(text)
    while not client.receive():
        pass
    return client.read_ids()


def run_clients(clients: Sequence[Client], queries: Sequence[str], seconds: float) -> tuple[list[float], float]:
    """Lets each client ask again as soon as it has its answer, for some time.

    Args:
        clients: The clients; they are connected by a first request, which is not counted.
        queries: The texts; each client begins at another one.
        seconds: How long requests are sent.

    Returns:
        The milliseconds of each answer, and the answers a second until the last one came: to count only those within
        `seconds` would leave out what a slow server has begun with many clients.
    """
    begun = [0.0] * len(clients)
    asked = [number * 7 for number in range(len(clients))]
    times: list[float] = []
    with selectors.EpollSelector() as selector:
        for number, client in enumerate(clients):
            selector.register(client, selectors.EVENT_READ, number)
            client.ask(queries[number % len(queries)])
        # All at once: servers close connections that wait for seconds, as the first would for the last.
        num_busy = len(clients)
        while num_busy:
            num_busy -= sum(clients[key.data].receive() for key, _ in _wait(selector))
        start = now = time.perf_counter()
        for number, client in enumerate(clients):
            begun[number] = time.perf_counter()
            client.ask(queries[asked[number] % len(queries)])
        num_busy = len(clients)
        while num_busy:
            for key, _ in _wait(selector):
                number, client = key.data, clients[key.data]
                if not client.receive():
                    continue
                now = time.perf_counter()
                times.append(1000 * (now - begun[number]))
                if now >= start + seconds:
                    num_busy -= 1
                    continue
                asked[number] += 1
                begun[number] = now
                client.ask(queries[asked[number] % len(queries)])
    for client in clients:
        if not client.read_ids():
            raise RuntimeError("An answer has no documents.")
    return times, len(times) / (now - start)


def _wait(selector: selectors.BaseSelector) -> list[tuple[selectors.SelectorKey, int]]:
    ready = selector.select(_TIMEOUT_SECONDS)
    if not ready:
        raise RuntimeError(f"No answer came in {_TIMEOUT_SECONDS:.0f} s.")
    return ready


def _connect(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _write_predict(text: str) -> bytes:
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    tensor = request.inputs["text"]
    tensor.dtype = 7  # DT_STRING
    tensor.tensor_shape.dim.add().size = 1
    tensor.string_val.append(text.encode())
    message: bytes = request.SerializeToString()
    return message


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _literal(text: str) -> bytes:
    """Writes a string of HPACK, plain."""
    data = text.encode()
    assert len(data) < 127  # longer ones have a longer length
    return bytes([len(data)]) + data
