"""A worker's end of the channel."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.workers.link import Link
from tfchain.deployment.server.workers.messages import LineReader, encode_message


class Other:
    """The supervisor's end, driven by the test."""

    def __init__(self) -> None:
        self.stream, theirs = socket.socketpair()
        self.stream.settimeout(5)
        self.link = Link(theirs)
        self._reader = LineReader()
        self._messages: list[Any] = []

    def say(self, *messages: Any) -> None:
        self.stream.sendall(b"".join(map(encode_message, messages)))

    def hear(self) -> Any:
        while not self._messages:
            self._messages += self._reader.feed(self.stream.recv(65536))
        return self._messages.pop(0)


@pytest.fixture
def other() -> Iterator[Other]:
    made = Other()
    yield made
    made.stream.close()


def do(number: int, what: str, body: Any = None) -> Any:
    return {"kind": "do", "id": number, "what": what, "body": body}


def test_questions_that_come_with_the_settings_are_answered_once_the_worker_has_started(other: Other) -> None:
    other.say({"kind": "settings", "number": 2}, do(7, "double", 4))
    assert other.link.read_settings() == {"kind": "settings", "number": 2}
    other.link.start({"double": lambda body: lambda: 2 * body})
    assert other.hear() == {"kind": "done", "id": 7, "body": 8}


def test_questions_begin_in_their_order_and_a_slow_answer_does_not_hold_up_others(other: Other) -> None:
    begun, release = [], threading.Event()

    def begin(body: str) -> Any:
        begun.append(body)
        return lambda: release.wait(5) if body == "slow" else body

    other.say({"kind": "settings"})
    other.link.read_settings()
    other.link.start({"it": begin})
    other.say(do(1, "it", "slow"), do(2, "it", "quick"))
    assert other.hear() == {"kind": "done", "id": 2, "body": "quick"}
    assert begun == ["slow", "quick"]
    release.set()
    assert other.hear() == {"kind": "done", "id": 1, "body": True}


def test_a_worker_gets_the_result_of_what_it_asks(other: Other) -> None:
    other.say({"kind": "settings"})
    other.link.read_settings()
    other.link.start({})
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(other.link.ask("counts", [1], seconds=3.0, wait_seconds=5.0)), daemon=True
    )
    thread.start()
    asked = other.hear()
    assert asked == {"kind": "ask", "id": 1, "what": "counts", "body": [1], "seconds": 3.0}
    other.say({"kind": "result", "id": 99, "body": "of another"}, {"kind": "result", "id": 1, "body": "all"})
    thread.join(5)
    assert found == ["all"]


def test_a_supervisor_that_does_not_answer_is_an_error_in_time(other: Other) -> None:
    with pytest.raises(StatusError, match="UNAVAILABLE: The supervisor of the workers has not answered in 0.01 s"):
        other.link.ask("counts", None, seconds=None, wait_seconds=0.01)


def test_a_supervisor_that_is_gone_is_an_error_at_the_start_and_none_later(other: Other) -> None:
    other.stream.close()
    with pytest.raises(StatusError, match="The supervisor is gone"):
        other.link.read_settings()
    other.link.send({"kind": "ready"})
