"""The lock on a file."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfchain.core.errors import IndexFolderError, TfchainError
from tfchain.core.file_lock import file_lock

HOLD = """
import sys, time
from pathlib import Path
from tfchain.core.errors import TfchainError
from tfchain.core.file_lock import file_lock
with file_lock(Path(sys.argv[1]), taken=TfchainError("taken")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_block_gets_the_given_error_and_a_later_one_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock(path, taken=TfchainError("never")):
        with (
            pytest.raises(IndexFolderError, match="someone writes"),
            file_lock(path, taken=IndexFolderError("someone writes")),
        ):
            pass
        assert path.exists()
    with file_lock(path, taken=TfchainError("still held")):
        pass


def test_a_block_that_waits_gets_the_lock_once_it_is_free(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []
    held = threading.Event()

    def hold() -> None:
        with file_lock(path, taken=TfchainError("never")):
            held.set()
            time.sleep(0.1)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    with file_lock(path, taken=TfchainError("too late"), wait_seconds=30):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(TfchainError, match="the other"), file_lock(path, taken=TfchainError("the other")):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    with file_lock(path, taken=TfchainError("still held")):
        pass
