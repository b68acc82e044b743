"""A worker's end of the channel to its supervisor."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.workers.messages import LineReader, Message, encode_message

Handler = Callable[[Any], Callable[[], Any]]
_READ_BYTES = 256 * 1024
_SETTINGS_SECONDS = 60.0


class Link:
    """Talks to the supervisor, which asks things of this worker, and asks all workers on its behalf.

    Args:
        stream: The socket.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._reader = LineReader()
        self._early: list[Message] = []  # what came with the first message
        self._send_lock = threading.Lock()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Answer] = {}
        self._handlers: Mapping[str, Handler] = {}

    def read_settings(self) -> Message:
        """Waits for the supervisor's first message, and returns it; call it once, before `start`.

        Raises:
            StatusError: if the supervisor is gone.
        """
        self._stream.settimeout(_SETTINGS_SECONDS)
        while not self._early:
            data = self._receive()
            if not data:
                raise StatusError(Code.UNAVAILABLE, "The supervisor is gone.")
            self._early = self._reader.feed(data)
        self._stream.settimeout(None)
        return self._early.pop(0)

    def start(self, handlers: Mapping[str, Handler]) -> None:
        """Answers the supervisor from now on, in a thread of its own.

        Args:
            handlers: A function for each thing that may be asked. They are called in the order of the questions, and
                must be quick; what they return makes the answer, in a thread of its own.
        """
        self._handlers = handlers
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def send(self, message: Message) -> None:
        """Sends a message; does nothing if the supervisor is gone, as this process ends with it."""
        with self._send_lock, contextlib.suppress(OSError):
            self._stream.sendall(encode_message(message))

    def ask(self, what: str, body: Any, *, seconds: float | None, wait_seconds: float | None) -> Any:
        """Asks all workers, this one too, and returns what the supervisor makes of their answers.

        Args:
            what: What is asked.
            body: The question's value.
            seconds: The time limit of the workers; None for none.
            wait_seconds: How long to wait for the supervisor; None for as long as it takes.

        Raises:
            StatusError: if the supervisor does not answer in time.
        """
        number, answer = next(self._numbers), _Answer()
        with self._lock:
            self._waiting[number] = answer
        try:
            self.send({"kind": "ask", "id": number, "what": what, "body": body, "seconds": seconds})
            if not answer.is_there.wait(wait_seconds):
                raise StatusError(
                    Code.UNAVAILABLE, f"The supervisor of the workers has not answered in {wait_seconds} s."
                )
            return answer.body
        finally:
            with self._lock:
                del self._waiting[number]

    def _run(self) -> None:
        messages = self._early
        while True:
            for message in messages:
                self._take(message)
            data = self._receive()
            if not data:
                return  # the supervisor has ended, and this process will in a moment
            messages = self._reader.feed(data)

    def _take(self, message: Message) -> None:
        if message["kind"] == "result":
            with self._lock:
                answer = self._waiting.get(message["id"])
            if answer is not None:
                answer.body = message["body"]
                answer.is_there.set()
            return
        make_answer = self._handlers[message["what"]](message["body"])

        def reply() -> None:
            self.send({"kind": "done", "id": message["id"], "body": make_answer()})

        threading.Thread(target=reply, name="supervisor-answer", daemon=True).start()

    def _receive(self) -> bytes:
        try:
            return self._stream.recv(_READ_BYTES)
        except OSError:
            return b""


class _Answer:
    """A place for the answer to a question."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.body: Any = None
