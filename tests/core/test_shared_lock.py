"""The lock that readers share."""

import threading

import pytest

from tfchain.core.shared_lock import SharedLock


def start(target) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def wait_until_a_writer_waits(lock: SharedLock) -> None:
    while not lock._waiting:
        pass


def test_readers_are_in_together_and_a_writer_is_alone() -> None:
    lock, both = SharedLock(), threading.Barrier(2, timeout=10)
    seen: list[str] = []

    def read() -> None:
        with lock.shared():
            both.wait()  # never passed, if one kept the other out
            seen.append("read")

    def write() -> None:
        with lock.exclusive():
            seen.append("write")

    with lock.shared():
        writer = start(write)
        wait_until_a_writer_waits(lock)
        assert seen == []
    writer.join(10)
    readers = [start(read), start(read)]
    for one in readers:
        one.join(10)
    assert seen == ["write", "read", "read"]


def test_nobody_reads_while_someone_writes() -> None:
    lock, entered, seen = SharedLock(), threading.Event(), []

    def read() -> None:
        entered.set()
        with lock.shared():
            seen.append("read")

    with lock.exclusive():
        reader = start(read)
        assert entered.wait(10)
        reader.join(0.05)
        assert seen == []
    reader.join(10)
    assert seen == ["read"]


def test_a_waiting_writer_comes_before_new_readers_but_a_reader_may_read_within() -> None:
    lock, order = SharedLock(), []

    def write() -> None:
        with lock.exclusive():
            order.append("write")

    def read() -> None:
        with lock.shared():
            order.append("new reader")

    with lock.shared():
        writer = start(write)
        wait_until_a_writer_waits(lock)
        with lock.shared():
            order.append("within")
        reader = start(read)
        reader.join(0.05)
        assert order == ["within"]
    writer.join(10)
    reader.join(10)
    assert order == ["within", "write", "new reader"]


def test_a_thread_that_reads_does_not_wait_for_itself_to_write() -> None:
    lock = SharedLock()
    with lock.shared(), pytest.raises(RuntimeError, match="This thread reads what it wants to write"), lock.exclusive():
        pass
    with lock.exclusive(), lock.shared():  # who writes may look
        pass
    with pytest.raises(KeyError), lock.exclusive():
        raise KeyError
    with lock.exclusive():
        pass
