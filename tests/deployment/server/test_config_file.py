"""The watch over the model config file."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tfchain.deployment.server.config_file import ConfigFileWatch
from tfchain.deployment.server.status import invalid_argument

TEXT = 'model_config_list { config { name: "m" } }'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "models.config").write_text(TEXT)
    return tmp_path / "models.config"


def test_the_file_is_read_again_and_again_until_the_watch_is_closed(path: Path) -> None:
    reads = threading.Semaphore(0)
    names: list[str] = []

    def on_config(config: Any) -> None:
        names.append(config.model_config_list.config[0].name)
        reads.release()

    watch = ConfigFileWatch(path, on_config, poll_seconds=0.01)
    watch.start()
    assert reads.acquire(timeout=5)
    path.write_text(TEXT.replace('"m"', '"n"'))
    while names[-1] != "n":
        assert reads.acquire(timeout=5)
    watch.close()
    count = len(names)
    threading.Event().wait(0.05)
    assert len(names) == count


def test_an_error_is_logged_once_and_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Any] = []
    watch = ConfigFileWatch(path, taken.append, poll_seconds=1)
    path.write_text("model_config_list {")
    with caplog.at_level(logging.ERROR):
        assert not watch.poll_once()
        assert not watch.poll_once()
    (record,) = caplog.records
    assert f"Reading {path} again failed; the old configuration goes on. INVALID_ARGUMENT: Invalid" in record.message
    assert taken == []
    path.write_text(TEXT)
    assert watch.poll_once()
    assert len(taken) == 1


def test_a_refusal_and_a_surprise_are_logged_and_do_not_end_the_watch(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [invalid_argument("no"), ZeroDivisionError("oh"), None]
    done = threading.Event()

    def on_config(_: Any) -> None:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        done.set()

    watch = ConfigFileWatch(path, on_config, poll_seconds=0.01)
    with caplog.at_level(logging.ERROR):
        watch.start()
        assert done.wait(5)
    watch.close()
    assert [record.message.split("goes on. ")[1] for record in caplog.records] == [
        "INVALID_ARGUMENT: no",
        "ZeroDivisionError('oh')",
    ]
