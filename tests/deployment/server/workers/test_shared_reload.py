"""A reload in several workers: the parts, and what their answers come to."""

from typing import Any

import pytest

from tfchain.deployment.server.status import Code, StatusError, invalid_argument
from tfchain.deployment.server.workers.shared_reload import answer_reload_part, check_answers, encode_config

OK = {"code": 0, "message": "", "in_force": True}
REFUSED = {"code": 3, "message": "no such label", "in_force": False}


class Config:
    """Stands for the proto, whose class takes TensorFlow to import."""

    def SerializeToString(self) -> bytes:
        return b"\0\xff config"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers a part with a function that begins it."""
    monkeypatch.setattr("tfchain.deployment.server.workers.shared_reload.decode_config", lambda text: text)
    body = {"config": encode_config(Config()), "seconds": 2.5}
    assert body["config"] == "AP8gY29uZmln"
    return lambda begin: answer_reload_part(begin, body)


def test_a_part_begins_at_once_and_waits_for_its_models_later(part: Any) -> None:
    done: list[Any] = []

    def begin(config: Any) -> Any:
        done.append(config)
        return done.append

    finish = part(begin)
    assert done == ["AP8gY29uZmln"]
    assert finish() == OK
    assert done[1:] == [2.5]


def test_a_configuration_that_is_refused_is_not_in_force(part: Any) -> None:
    def begin(_: Any) -> Any:
        raise invalid_argument("no such label")

    assert part(begin)() == REFUSED


def test_a_configuration_whose_models_fail_is_in_force_all_the_same(part: Any) -> None:
    def wait(_: Any) -> None:
        raise StatusError(Code.UNKNOWN, "1 model(s) did not become available")

    expected = {"code": 2, "message": "1 model(s) did not become available", "in_force": True}
    assert part(lambda _: wait)() == expected


def test_workers_without_an_error_are_one_success() -> None:
    check_answers([1, 2], {1: OK, 2: OK})
    check_answers([1, 2], {1: OK})  # the other has ended


def test_an_error_of_all_workers_is_told_as_one_worker_tells_it() -> None:
    with pytest.raises(StatusError) as caught:
        check_answers([1, 2], {1: REFUSED, 2: REFUSED})
    assert str(caught.value) == "INVALID_ARGUMENT: no such label"


def test_an_error_of_some_workers_says_of_which() -> None:
    with pytest.raises(StatusError) as caught:
        check_answers([1, 2, 3], {1: OK, 2: REFUSED, 3: OK})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "no such label (This is worker 2 of 3; no error came from 1, 3.)"
