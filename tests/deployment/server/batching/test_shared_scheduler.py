"""TensorFlow Serving's scheduler: when a batch is full, when it runs, when a queue is."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deployment.server.batching.fakes import SECONDS, Callers, Clock, Gate
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.shared_scheduler import Batch, BatchQueue, SharedBatchScheduler
from tfchain.deployment.server.status import Code, StatusError

FOREVER = 10**12  # microseconds


@dataclass
class Rows:
    """A task of some rows."""

    name: str
    num_rows: int = 1

    def split(self, sizes: Any) -> "list[Rows]":
        return [Rows(f"{self.name}{position}", size) for position, size in enumerate(sizes)]


class Harness:
    """A scheduler of one thread or more, whose batches wait at a gate."""

    def __init__(self, num_threads: int = 1) -> None:
        self.clock = Clock()
        self.scheduler = SharedBatchScheduler(num_threads, "test", clock=self.clock)
        self.gate = Gate()
        self.batches: list[list[str]] = []
        self.ended = threading.Condition()

    def queue(self, **values: Any) -> BatchQueue:
        return self.scheduler.add_queue(BatchingParameters(**values), self.process)

    def process(self, tasks: list[Rows]) -> None:
        self.gate.go_through()
        with self.ended:
            self.batches.append([task.name for task in tasks])
            self.ended.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.ended:
            assert self.ended.wait_for(condition, SECONDS), self.batches


@pytest.fixture
def harness() -> Iterator[Harness]:
    made = Harness()
    yield made
    made.gate.open()
    made.scheduler.close(SECONDS)


def test_a_full_batch_runs_without_waiting_for_the_timeout(harness: Harness) -> None:
    queue = harness.queue(max_batch_size=3, batch_timeout_micros=FOREVER)
    for name in "abc":
        queue.schedule(Rows(name))
    harness.wait_for(lambda: harness.batches == [["a", "b", "c"]])


def test_a_batch_that_is_not_full_waits_for_the_timeout(harness: Harness) -> None:
    queue = harness.queue(max_batch_size=3, batch_timeout_micros=5_000_000)
    queue.schedule(Rows("a"))
    queue.schedule(Rows("b"))
    with harness.scheduler.lock:
        assert queue.seconds_to_timeout() == pytest.approx(5.0)
        assert queue.take_batch() is None
        harness.clock.now += 5.0  # and not before both wait: the thread may look at any moment
        harness.scheduler.wake_thread()
    harness.wait_for(lambda: harness.batches == [["a", "b"]])


def test_without_a_timeout_what_waits_while_a_batch_runs_is_the_next_batch(harness: Harness) -> None:
    queue = harness.queue()
    harness.gate.shut()
    queue.schedule(Rows("a"))
    harness.gate.wait_for(1)
    for name in "bcd":
        queue.schedule(Rows(name))
    assert queue.num_tasks == 3
    harness.gate.open()
    harness.wait_for(lambda: harness.batches == [["a"], ["b", "c", "d"]])


def test_a_request_that_does_not_fit_begins_the_next_batch(harness: Harness) -> None:
    queue = harness.queue(max_batch_size=4, batch_timeout_micros=FOREVER)
    queue.schedule(Rows("a", 3))
    queue.schedule(Rows("b", 2))
    harness.wait_for(lambda: harness.batches == [["a"]])
    assert queue.num_tasks == 1


def test_a_request_larger_than_a_batch_is_refused(harness: Harness) -> None:
    with pytest.raises(StatusError) as caught:
        harness.queue(max_batch_size=8).schedule(Rows("a", 9))
    assert str(caught.value) == "INVALID_ARGUMENT: Task size 9 is larger than maximum input batch size 8"


def test_a_full_queue_refuses(harness: Harness) -> None:
    queue = harness.queue(max_batch_size=2, max_enqueued_batches=2, batch_timeout_micros=FOREVER)
    harness.gate.shut()
    queue.schedule(Rows("a", 2))
    harness.gate.wait_for(1)
    for name in "bcde":
        queue.schedule(Rows(name))
    with pytest.raises(StatusError) as caught:
        queue.schedule(Rows("f"))
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
        "max_enqueued_batches is 2"
    )
    harness.gate.open()
    harness.wait_for(lambda: harness.batches == [["a"], ["b", "c"], ["d", "e"]])


def test_a_large_request_fills_the_open_batch_and_further_ones(harness: Harness) -> None:
    queue = harness.queue(
        max_batch_size=20,
        max_execution_batch_size=4,
        enable_large_batch_splitting=True,
        batch_timeout_micros=FOREVER,
    )
    queue.schedule(Rows("a", 1))
    queue.schedule(Rows("b", 9))
    harness.wait_for(lambda: harness.batches == [["a", "b0"], ["b1"]])
    assert queue.num_tasks == 1  # the last two rows


def test_a_queue_that_splits_counts_its_rows_exactly(harness: Harness) -> None:
    queue = harness.queue(
        max_batch_size=20,
        max_execution_batch_size=4,
        max_enqueued_batches=2,
        enable_large_batch_splitting=True,
        batch_timeout_micros=FOREVER,
    )
    queue.schedule(Rows("a", 3))
    with pytest.raises(StatusError) as caught:
        queue.schedule(Rows("b", 6))
    assert str(caught.value) == (
        "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; task size is 6 but "
        "scheduling capacity is only 5 (num_enqueued_batches=1, max_enqueued_batches=2, open_batch_size=3, "
        "max_execution_batch_size=4)"
    )
    queue.schedule(Rows("c", 5))
    harness.wait_for(lambda: len(harness.batches) == 2)


def test_queues_take_turns(harness: Harness) -> None:
    first, second = harness.queue(max_batch_size=1), harness.queue(max_batch_size=1)
    harness.gate.shut()
    first.schedule(Rows("a"))
    harness.gate.wait_for(1)
    for name in "bcd":
        first.schedule(Rows(name))
    for name in "xy":
        second.schedule(Rows(name))
    harness.gate.open()
    harness.wait_for(lambda: len(harness.batches) == 6)
    assert harness.batches == [["a"], ["x"], ["b"], ["y"], ["c"], ["d"]]


def test_as_many_batches_run_at_once_as_there_are_threads() -> None:
    harness = Harness(num_threads=3)
    queue = harness.queue(max_batch_size=1)
    harness.gate.shut()
    for name in "abcd":
        queue.schedule(Rows(name))
    harness.gate.wait_for(3)
    assert (queue.num_running, queue.num_tasks) == (3, 1)
    harness.gate.open()
    harness.scheduler.close(SECONDS)
    assert sorted(harness.batches) == [["a"], ["b"], ["c"], ["d"]]


def test_closing_a_queue_runs_what_it_has_accepted(harness: Harness) -> None:
    queue = harness.queue(batch_timeout_micros=FOREVER)
    queue.schedule(Rows("a"))
    queue.schedule(Rows("b"))
    queue.close()
    assert harness.batches == [["a", "b"]]
    with pytest.raises(StatusError, match="UNAVAILABLE"):
        queue.schedule(Rows("c"))


def test_closing_a_queue_waits_for_its_running_batch_and_leaves_the_others(harness: Harness) -> None:
    queue, other = harness.queue(), harness.queue()
    harness.gate.shut()
    queue.schedule(Rows("a"))
    harness.gate.wait_for(1)
    with Callers() as callers:
        closing = callers.call(queue.close)
        other.schedule(Rows("x"))
        assert not closing.done()
        harness.gate.open()
        closing.result(SECONDS)
    harness.wait_for(lambda: harness.batches == [["a"], ["x"]])


def test_closing_the_scheduler_ends_its_threads() -> None:
    harness = Harness(num_threads=2)
    queue = harness.queue(batch_timeout_micros=FOREVER)
    queue.schedule(Rows("a"))
    threads = list(harness.scheduler._threads)
    assert [thread.name for thread in threads] == ["test_0", "test_1"]
    assert all(thread.daemon for thread in threads)
    harness.scheduler.close(SECONDS)
    assert harness.batches == [["a"]]
    assert not any(thread.is_alive() for thread in threads)


def test_a_queue_of_a_closed_scheduler_refuses(harness: Harness) -> None:
    harness.scheduler.close(SECONDS)
    with pytest.raises(StatusError, match="UNAVAILABLE"):
        harness.queue().schedule(Rows("a"))


def test_a_scheduler_without_requests_has_no_threads(harness: Harness) -> None:
    harness.queue()
    assert not harness.scheduler._threads


def test_a_thread_survives_an_error_of_its_batch(harness: Harness) -> None:
    calls = iter([RuntimeError("died")])

    def process(tasks: list[Rows]) -> None:
        for error in calls:
            raise error
        harness.process(tasks)

    queue = harness.scheduler.add_queue(BatchingParameters(max_batch_size=1), process)
    queue.schedule(Rows("a"))
    queue.schedule(Rows("b"))
    harness.wait_for(lambda: harness.batches == [["b"]])


def test_a_forked_process_begins_with_empty_queues_and_new_threads(harness: Harness) -> None:
    queue = harness.queue(batch_timeout_micros=FOREVER)
    queue.schedule(Rows("a"))
    pid = os.fork()
    if not pid:
        is_right = False
        try:
            assert queue.num_tasks == 0
            queue.schedule(Rows("b"))
            queue.close()
            is_right = harness.batches == [["b"]]
        finally:
            os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    queue.close()
    assert harness.batches == [["a"]]


def test_the_number_of_waiting_tasks_changes_under_the_lock_and_is_read_without_a_look_at_the_batches() -> None:
    class Moving(deque[Batch]):
        def __iter__(self) -> Any:  # what a reader may meet while another thread adds a batch
            raise RuntimeError("deque mutated during iteration")

    class Watched(BatchQueue):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "num_tasks" and hasattr(self, "num_tasks"):
                counted.append((value, self._scheduler.lock.locked()))
            super().__setattr__(name, value)

    counted: list[tuple[int, bool]] = []
    harness = Harness()
    queue = Watched(harness.scheduler, BatchingParameters(max_batch_size=2), harness.process)
    queue._batches = Moving(queue._batches)
    harness.scheduler._queues.append(queue)
    harness.gate.shut()
    queue.schedule(Rows("a"))
    harness.gate.wait_for(1)
    for name in "bcd":
        queue.schedule(Rows(name))
    assert queue.num_tasks == 3
    harness.gate.open()
    queue.close()
    assert counted == [(1, True), (0, True), (1, True), (2, True), (3, True), (1, True), (0, True)]
    harness.scheduler.close(SECONDS)
