"""tfchain's own scheduler: who runs with whom, and when."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from tests.deployment.server.batching.fakes import SECONDS, Callers, Clock, Gate, WatchedStatistics
from tfchain.deployment.server.batching.statistics import BatchRecord
from tfchain.deployment.server.batching.token_scheduler import Task, TokenScheduler
from tfchain.deployment.server.status import Code, StatusError


class Engine:
    """A scheduler, and the batches that it runs; a request is a text, and its answer the text in capitals."""

    def __init__(self, num_slots: int = 1, max_tokens: int = 100) -> None:
        self.gate = Gate()
        self.clock = Clock()
        self.records: list[BatchRecord] = []
        self.statistics = WatchedStatistics(self.records.append)
        self.batches: list[str] = []
        self.threads: list[int] = []
        self.most_running = 0
        self.scheduler = TokenScheduler(
            self.execute,
            lambda task: len(task.request),
            num_slots=num_slots,
            max_tokens=max_tokens,
            statistics=self.statistics,
            clock=self.clock,
        )

    def execute(self, tasks: Sequence[Task]) -> list[str]:
        self.batches.append("".join(task.request for task in tasks))
        self.threads.append(threading.get_ident())
        self.most_running = max(self.most_running, self.statistics.num_running)
        self.gate.go_through()
        for task in tasks:
            if task.request == "!":
                raise StatusError(Code.INVALID_ARGUMENT, "no exclamations")
        return [task.request.upper() for task in tasks]

    def ask(self, text: str, key: str = "embed", timeout: float | None = None, num_rows: int = 1) -> str:
        deadline = None if timeout is None else self.clock() + timeout
        answer: str = self.scheduler.submit(Task((key,), text, num_rows, deadline))
        return answer


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def callers() -> Iterator[Callers]:
    with Callers() as made:
        yield made


def hold(engine: Engine, callers: Callers, *asked: Any) -> "list[Future[str]]":
    """Lets a request run and wait at the gate, and others queue up behind it, in this order."""
    engine.gate.shut()
    first = callers.call(engine.ask, "a")
    engine.gate.wait_for(1)
    futures = [first]
    for number, each in enumerate(asked, 1):
        arguments = each if isinstance(each, tuple) else (each,)
        futures.append(callers.call(engine.ask, *arguments))
        engine.statistics.wait_for_queue(number)
    return futures


def answers(futures: "Sequence[Future[str]]") -> list[Any]:
    found: list[Any] = []
    for future in futures:
        error = future.exception(SECONDS)
        found.append(error.code if isinstance(error, StatusError) else error or future.result())
    return found


def test_a_request_alone_runs_at_once_in_its_own_thread(engine: Engine) -> None:
    assert [engine.ask(text) for text in "abc"] == ["A", "B", "C"]
    assert engine.batches == ["a", "b", "c"]
    assert set(engine.threads) == {threading.get_ident()}
    assert engine.statistics.num_running == 0


def test_what_waits_while_a_batch_runs_is_the_next_batch(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", "c", "d")
    engine.gate.open()
    assert answers(futures) == ["A", "B", "C", "D"]
    assert engine.batches == ["a", "bcd"]


def test_signatures_are_not_mixed_and_the_oldest_request_runs_first(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, ("b", "search"), ("c", "embed"), ("d", "search"), ("e", "embed"))
    engine.gate.open()
    assert answers(futures) == ["A", "B", "C", "D", "E"]
    assert engine.batches == ["a", "bd", "ce"]


def test_a_long_text_waits_for_its_own_batch_but_not_behind_later_ones(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", "x" * 90, "c")
    engine.gate.shut()
    engine.gate.open()
    assert answers(futures) == ["A", "B", "X" * 90, "C"]
    assert engine.batches == ["a", "bc", "x" * 90]


def test_a_batch_has_no_more_tokens_than_allowed(callers: Callers) -> None:
    engine = Engine(max_tokens=2)
    futures = hold(engine, callers, "b", "c", "d", "e", "f")
    engine.gate.open()
    assert answers(futures) == list("ABCDEF")
    assert engine.batches == ["a", "bc", "de", "f"]


def test_a_request_of_many_rows_is_not_split(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, ("b", "embed", None, 1000), "c")
    engine.gate.open()
    assert answers(futures) == ["A", "B", "C"]
    assert engine.batches == ["a", "b", "c"]


def test_as_many_batches_run_at_once_as_there_are_engines(callers: Callers) -> None:
    engine = Engine(num_slots=2)
    engine.gate.shut()
    first = [callers.call(engine.ask, "a"), callers.call(engine.ask, "b")]
    engine.gate.wait_for(2)
    assert engine.statistics.num_running == 2
    waiting = []
    for number, text in enumerate("cde", 1):
        waiting.append(callers.call(engine.ask, text))
        engine.statistics.wait_for_queue(number)
    engine.gate.open()
    assert answers(first + waiting) == list("ABCDE")
    assert sorted("".join(engine.batches)) == list("abcde")
    assert len(engine.batches) < 5  # two threads share c, d and e
    assert engine.most_running == 2


def test_an_error_in_a_batch_is_only_its_own_clients(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", "!", "c", "d")
    engine.gate.open()
    assert answers(futures) == ["A", "B", Code.INVALID_ARGUMENT, "C", "D"]
    assert engine.batches == ["a", "b!cd", "b", "!", "c", "d"]
    assert engine.statistics.num_retried == 1


def test_an_error_of_the_request_that_leads_the_batch_is_its_own(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "!", "b")
    engine.gate.open()
    assert answers(futures) == ["A", Code.INVALID_ARGUMENT, "B"]
    assert engine.ask("c") == "C"


def test_a_request_that_came_after_a_failed_batch_waits_behind_it(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", "!")
    run, calls = engine.execute, iter(range(100))

    def execute(tasks: Sequence[Task]) -> list[str]:
        if next(calls) == 0:  # the batch of b and !: another request comes while it runs
            futures.append(callers.call(engine.ask, "c"))
            engine.statistics.wait_for_queue(1)
        return run(tasks)

    engine.scheduler._execute = execute
    engine.gate.open()
    assert answers(futures[:3]) == ["A", "B", Code.INVALID_ARGUMENT]
    assert answers(futures[3:]) == ["C"]
    assert engine.batches == ["a", "b!", "b", "!", "c"]


def test_an_error_of_a_request_alone_gives_the_engine_back(engine: Engine) -> None:
    with pytest.raises(StatusError, match="no exclamations"):
        engine.ask("!")
    assert engine.ask("a") == "A"


def test_a_request_whose_deadline_has_passed_is_not_run(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, ("b", "embed", 5.0), ("c", "embed", 500.0), ("d", "embed", 5.0))
    engine.clock.now += 6.0
    engine.gate.open()
    assert answers(futures) == ["A", Code.DEADLINE_EXCEEDED, "C", Code.DEADLINE_EXCEEDED]
    assert engine.batches == ["a", "c"]
    assert (engine.statistics.num_dropped, engine.statistics.queue_length) == (2, 0)


def test_a_client_is_told_at_its_deadline_though_the_engine_is_busy(engine: Engine, callers: Callers) -> None:
    engine.scheduler._clock = time.monotonic
    engine.gate.shut()
    first = callers.call(engine.ask, "a")
    engine.gate.wait_for(1)
    task = Task(("embed",), "b", 1, engine.scheduler._clock() + 0.02)
    with pytest.raises(StatusError, match="DEADLINE_EXCEEDED: Timed out waiting for notification"):
        engine.scheduler.submit(task)
    assert engine.statistics.queue_length == 0
    assert not first.done()
    engine.gate.open()
    assert answers([first]) == ["A"]
    assert engine.batches == ["a"]


def test_a_client_whose_batch_runs_on_is_told_at_its_deadline(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", ("c", "embed", 0.02))  # it looks at the clock after so many seconds
    has_begun, may_end = threading.Event(), threading.Event()
    run = engine.execute

    def execute(tasks: Sequence[Task]) -> list[str]:
        has_begun.set()
        assert may_end.wait(SECONDS)
        return run(tasks)

    engine.scheduler._execute = execute
    engine.gate.open()
    assert has_begun.wait(SECONDS)
    engine.clock.now += 1.0
    assert answers([futures[2]]) == [Code.DEADLINE_EXCEEDED]
    assert not futures[1].done()
    may_end.set()
    assert answers(futures[:2]) == ["A", "B"]
    assert engine.batches == ["a", "bc"]
    assert engine.statistics.num_dropped == 0  # it ran


def test_a_dropped_leader_passes_the_engine_on(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, ("b", "search", 5.0), ("c", "embed", 5.0), ("d", "embed"))
    engine.clock.now += 6.0
    engine.gate.open()
    assert answers(futures) == ["A", Code.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED, "D"]
    assert engine.ask("e") == "E"


def test_records_say_what_ran_what_waited_and_what_was_dropped(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "bb", "c", ("d", "embed", 2.0))
    engine.clock.now += 3.0
    engine.gate.open()
    answers(futures)
    kinds = {record.kind: record for record in engine.records[1:]}
    assert kinds["batch"].num_requests == kinds["batch"].num_rows == 2
    assert kinds["batch"].num_tokens == 4  # two rows of the longer text's two
    assert kinds["batch"].waiting_seconds == (3.0, 3.0)
    assert (kinds["drop"].signature, kinds["drop"].waiting_seconds) == ("embed", (3.0,))
    counted = engine.statistics
    assert (counted.num_batches, counted.num_requests, counted.num_rows) == (2, 3, 3)
    assert (counted.num_dropped, counted.waiting_seconds) == (1, 6.0)


def test_an_error_of_the_listener_does_not_reach_the_request(engine: Engine) -> None:
    def fail(record: BatchRecord) -> None:
        raise RuntimeError(record.kind)

    engine.statistics.listener = fail
    assert engine.ask("a") == "A"


def test_close_finishes_what_was_accepted_and_refuses_the_rest(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b", "c")
    is_closing = threading.Event()
    wait = engine.scheduler._idle.wait

    def wait_for_requests(timeout: float) -> bool:
        is_closing.set()
        return wait(timeout)

    engine.scheduler._idle.wait = wait_for_requests  # type: ignore[method-assign]
    closed = callers.call(engine.scheduler.close)
    assert is_closing.wait(SECONDS)
    with pytest.raises(StatusError, match="UNAVAILABLE: The version is being unloaded"):
        engine.ask("d")
    assert not closed.done()
    engine.gate.open()
    closed.result(SECONDS)
    assert answers(futures) == ["A", "B", "C"]


def test_close_without_requests_returns(engine: Engine) -> None:
    engine.scheduler.close()
    engine.scheduler.close()


def test_sixteen_clients_need_an_eighth_of_the_runs(callers: Callers) -> None:
    """An engine that costs 10 + 1 a row, and is slow enough for every client to have asked before a run ends."""
    num_clients, num_requests = 16, 5
    engine = Engine(max_tokens=1000)
    left = [num_requests] * num_clients
    lock = threading.Lock()

    def execute(tasks: Sequence[Task]) -> list[str]:
        with lock:
            for task in tasks:
                left[int(task.request, 16)] -= 1
            others = {number for number, count in enumerate(left) if count}
        others -= {int(task.request, 16) for task in tasks}
        engine.statistics.wait_for(lambda counted: counted.queue_length == len(others))
        engine.batches.append("".join(task.request for task in tasks))
        return [task.request.upper() for task in tasks]

    engine.scheduler._execute = execute

    def ask_often(name: str) -> list[str]:
        return [engine.ask(name) for _ in range(num_requests)]

    futures = [callers.call(ask_often, f"{number:x}") for number in range(num_clients)]
    assert [future.result(SECONDS) for future in futures] == [[f"{number:X}"] * 5 for number in range(num_clients)]
    assert len("".join(engine.batches)) == 80
    assert len(engine.batches) <= 11  # two runs in a row answer each client
    cost = sum(10 + len(batch) for batch in engine.batches)
    assert cost <= 190  # one by one: 80 * 11 = 880


def test_many_threads_get_their_own_answers() -> None:
    engine = Engine(num_slots=3, max_tokens=40)
    wrong: list[Any] = []

    def ask_often(number: int) -> None:
        for turn in range(60):
            text = chr(97 + (number + turn) % 26) * (1 + (number * turn) % 9)
            if engine.ask(text, "ab"[turn % 2]) != text.upper():
                wrong.append(text)

    with Callers() as callers:
        for future in [callers.call(ask_often, number) for number in range(12)]:
            future.result(30)
    assert not wrong
    assert engine.statistics.num_requests == 720
    assert (engine.statistics.queue_length, engine.statistics.num_running) == (0, 0)


def test_a_forked_process_begins_with_an_empty_queue(engine: Engine, callers: Callers) -> None:
    futures = hold(engine, callers, "b")
    pid = os.fork()
    if not pid:
        engine.gate._is_shut = False
        os._exit(0 if _is_usable(lambda: engine.ask("c")) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    engine.gate.open()
    assert answers(futures) == ["A", "B"]


def _is_usable(ask: Callable[[], str]) -> bool:
    try:
        return ask() == "C"
    except BaseException:
        return False
