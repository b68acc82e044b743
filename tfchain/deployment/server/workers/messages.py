"""The messages between a supervisor and its workers: JSON objects, one a line, over a pair of sockets.

To a worker, by `kind`: `settings` (the first message), `do` (its part of what all workers are asked) and `result` (all
answers to what it asked itself). From a worker: `ready`, `failed` (why it could not start), `ask` (a question to all
workers), `done` (its answer to a `do`) and `counts` (its last metrics, before it ends).
"""

import contextlib
import json
import socket
from typing import Any

Message = dict[str, Any]
_READ_BYTES = 256 * 1024


def encode_message(message: Message) -> bytes:
    """Writes a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


class LineReader:
    """Puts received bytes together to messages."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Message]:
        """Takes bytes as received, and returns the messages that they complete."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
        self._pieces.append(rest)
        return [json.loads(line) for line in lines]


class Channel:
    """The supervisor's end: never waits, neither for a worker that does not read nor for one that does not write.

    Args:
        stream: The socket.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self.stream = stream
        self._reader = LineReader()
        self._unsent = bytearray()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the worker reads; then `flush` must be called once the socket is writable."""
        return bool(self._unsent)

    def send(self, message: Message) -> None:
        """Sends a message, or as much of it as the socket takes now."""
        self._unsent += encode_message(message)
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it."""
        try:
            while self._unsent:
                del self._unsent[: self.stream.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # the worker is gone
            self._unsent.clear()

    def receive(self) -> tuple[list[Message], bool]:
        """Returns the messages that have arrived, and whether more may come."""
        messages: list[Message] = []
        while True:
            try:
                data = self.stream.recv(_READ_BYTES)
            except BlockingIOError:
                return messages, True
            except OSError:
                return messages, False
            if not data:
                return messages, False
            messages += self._reader.feed(data)

    def close(self) -> None:
        """Closes the socket."""
        with contextlib.suppress(OSError):
            self.stream.close()
