"""What a request that waited for a batch records: the queue, and a run that another thread did."""

from typing import Any

from tests.deployment.server.batching.fakes import SECONDS, Callers, Clock, FakeServable, WatchedStatistics, texts
from tfchain.core.stages import Stage, StageRecord, stage
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.shared_scheduler import SharedBatchScheduler
from tfchain.deployment.server.batching.stages import add_waiting
from tfchain.deployment.server.batching.text_servable import TextBatchingServable, find_batched


def test_a_request_without_a_batch_only_waited() -> None:
    record = StageRecord()
    add_waiting(record, 0, arrival=1.0, start=0.0, end=3.0)
    assert record.stages == [Stage("queue", 1.0, 3.0)]


def test_the_run_of_another_thread_is_told_apart_from_its_own() -> None:
    led, leader = StageRecord(), StageRecord()
    leader.add("tokenize", 2.0, 2.5)
    for record in (led, leader):
        add_waiting(record, 0, arrival=1.0, start=2.0, end=3.0)
    assert led.stages == [Stage("queue", 1.0, 2.0), Stage("run", 2.0, 3.0)]
    assert leader.stages == [Stage("tokenize", 2.0, 2.5), Stage("queue", 1.0, 2.0)]


def run_recorded(servable: Any, name: str, inputs: Any) -> list[str]:
    """Runs a request, and returns the names of its stages in the order of their beginnings."""
    with StageRecord() as record:
        servable.run(servable.signatures[name], inputs, list(servable.signatures[name].outputs)[:1])
    return [found.name for found in record.stages]


class MarkedServable(FakeServable):
    """A fake version that marks its run, as a SavedModel does."""

    def run(self, *arguments: Any) -> Any:
        with stage("run"):
            return super().run(*arguments)


def test_texts_that_wait_record_the_queue_and_one_run_each() -> None:
    inner, clock = MarkedServable(), Clock()
    servable = TextBatchingServable(inner, find_batched(inner), clock=clock)
    watched = servable.statistics = servable._scheduler.statistics = WatchedStatistics()
    inner.gate.shut()
    with Callers() as callers:
        alone = callers.call(run_recorded, servable, "other", texts("first"))
        inner.gate.wait_for(1)
        clock.now += 1  # a task that arrives at 0 did not wait
        waiting = []
        for number in (1, 2):
            waiting.append(callers.call(run_recorded, servable, "embed", texts("a")))
            watched.wait_for_queue(number)
        inner.gate.open()
        assert alone.result(SECONDS) == ["run"]
        assert [sorted(future.result(SECONDS)) for future in waiting] == [["queue", "run"]] * 2
    assert inner.runs[1:] == [("embed", 2)]
    servable.close()


def test_stock_batching_records_the_queue_and_the_run_of_its_threads() -> None:
    scheduler = SharedBatchScheduler(1)
    servable = BatchingServable(MarkedServable(), scheduler, BatchingParameters(batch_timeout_micros=0))
    assert run_recorded(servable, "embed", texts("a")) == ["queue", "run"]
    servable.close()
    scheduler.close()
