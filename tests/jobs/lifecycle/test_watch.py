"""A watch: it interrupts its block, writes progress down, and leaves the process's timer as it was."""

import contextlib
import signal
import threading
import time

import pytest

from tfchain.jobs.lifecycle.watch import OutOfTime, Watch


def test_a_block_without_end_is_interrupted_even_if_it_swallows_errors() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def work() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                time.sleep(0.001)

    with pytest.raises(OutOfTime), Watch(0.02, lambda seconds: None):
        work()

    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "lifecycle-watch"]


def test_progress_is_written_down_while_the_block_works_and_a_failure_to_do_so_does_not_end_it() -> None:
    beats: list[float] = []
    enough = threading.Event()

    def beat(seconds: float) -> None:
        beats.append(seconds)
        if len(beats) == 3:
            enough.set()
        raise OSError("the disk is full")

    with Watch(float("inf"), beat, every_seconds=0.001):
        assert enough.wait(10)

    assert beats == sorted(beats)
    assert beats[0] > 0


def test_in_another_thread_a_block_is_not_interrupted() -> None:
    ended = threading.Event()

    def work() -> None:
        with Watch(0.001, lambda seconds: None):
            time.sleep(0.02)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)

    assert ended.is_set()
