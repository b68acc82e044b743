"""Versions with TensorFlow Serving's batching, with a fake version."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from tests.deployment.server.batching.fakes import SECONDS, Callers, Clock, FakeServable, floats, texts
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.shared_scheduler import SharedBatchScheduler
from tfchain.deployment.server.batching.statistics import BatchRecord
from tfchain.deployment.server.servables.servable import Signature
from tfchain.deployment.server.status import Code, StatusError

FOREVER = 10**12


class Version:
    """A fake version, and the servable around it, which runs a batch when it is full."""

    def __init__(self, **values: Any) -> None:
        self.inner = FakeServable()
        self.records: list[BatchRecord] = []
        self.clock = Clock()
        parameters = BatchingParameters(**{"batch_timeout_micros": FOREVER, **values})
        self.scheduler = SharedBatchScheduler(1, clock=self.clock)
        self.servable = BatchingServable(self.inner, self.scheduler, parameters, listener=self.records.append)

    def ask(self, name: str, inputs: Any, outputs: Any = (), timeout_ms: int | None = None) -> Any:
        signature = self.servable.signatures[name]
        return self.servable.run(signature, inputs, list(outputs) or list(signature.outputs), timeout_ms)

    def ask_all(self, callers: Callers, *asked: Any) -> "list[Future[Any]]":
        """Asks one after the other, each when the last is in the queue."""
        futures = []
        for arguments in asked:
            num_before = len(self.tasks)
            futures.append(callers.call(self.ask, *arguments))
            self.wait_for_task(num_before)
        return futures

    @property
    def tasks(self) -> list[Any]:
        return self.scheduled

    def wait_for_task(self, num_before: int) -> None:
        with self.come:
            assert self.come.wait_for(lambda: len(self.scheduled) > num_before, SECONDS)

    def watch(self) -> "Version":
        """Notes each task that a queue has accepted."""
        import threading

        self.scheduled: list[Any] = []
        self.come = threading.Condition()
        wake = self.scheduler.wake_thread

        def wake_thread() -> None:
            with self.come:
                self.scheduled.append(None)
                self.come.notify_all()
            wake()

        self.scheduler.wake_thread = wake_thread  # type: ignore[method-assign]
        return self


def make_version(**values: Any) -> Version:
    return Version(**values).watch()


@pytest.fixture
def callers() -> Iterator[Callers]:
    with Callers() as made:
        yield made


def values_of(futures: "list[Future[Any]]") -> list[Any]:
    return [[array.tolist() for array in future.result(SECONDS)] for future in futures]


def errors_of(futures: "list[Future[Any]]") -> list[str]:
    return [str(future.exception(SECONDS)) for future in futures]


def test_requests_of_several_clients_are_one_run(callers: Callers) -> None:
    version = make_version(max_batch_size=4)
    futures = version.ask_all(callers, ("double", floats(1, 2)), ("double", floats(3)), ("double", floats(4)))
    assert values_of(futures) == [[[2, 4]], [[6]], [[8]]]
    assert version.inner.runs == [("double", 4)]


def test_signatures_and_sets_of_outputs_have_queues_of_their_own(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    futures = version.ask_all(
        callers,
        ("embed", texts("a"), ("length",)),
        ("double", floats(1)),
        ("embed", texts("bb"), ("embedding",)),
        ("double", floats(2)),
        ("embed", texts("ccc"), ("length",)),
        ("embed", texts("dddd"), ("embedding",)),
    )
    assert values_of(futures) == [[[1]], [[2]], [[[2, -2]]], [[4]], [[3]], [[[4, -4]]]]
    # Two threads take the batches, so that their order is open.
    assert sorted(version.inner.runs) == [("double", 2), ("embed", 2), ("embed", 2)]


def test_the_order_of_outputs_does_not_matter_and_is_kept(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    both = version.ask_all(
        callers, ("embed", texts("a"), ("length", "embedding")), ("embed", texts("bb"), ("embedding", "length"))
    )
    assert values_of(both) == [[[1], [[1, -1]]], [[[2, -2]], [2]]]
    assert version.inner.runs == [("embed", 2)]


def test_two_names_of_the_same_tensors_share_a_batch(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    double = version.inner.signatures["double"]
    version.inner.signatures["alias"] = Signature("alias", {"z": double.inputs["x"]}, {"w": double.outputs["y"]})
    futures = version.ask_all(callers, ("double", floats(1)), ("alias", {"z": floats(2)["x"]}))
    assert values_of(futures) == [[[2]], [[4]]]
    assert version.inner.runs == [("double", 2)]


def test_a_batch_is_padded_to_an_allowed_size_with_a_valid_row(callers: Callers) -> None:
    version = make_version(max_batch_size=8, allowed_batch_sizes=(4, 8), batch_timeout_micros=0)
    assert values_of([callers.call(version.ask, "double", floats(5, 6))]) == [[[10, 12]]]
    assert version.inner.inputs[0]["x"].tolist() == [5, 6, 5, 5]
    assert (version.servable.statistics.num_rows, version.servable.statistics.num_padding_rows) == (2, 2)


def test_different_shapes_fail_the_batch_or_are_padded(callers: Callers) -> None:
    rows = [{"x": np.ones((1, size), np.float32)} for size in (2, 3)]
    version = make_version(max_batch_size=2)
    futures = version.ask_all(callers, *[("double", row) for row in rows])
    for error in errors_of(futures):
        assert error.startswith(
            "FAILED_PRECONDITION: Tensors with name 'double_x:0' from different tasks have different"
        )
    version = make_version(max_batch_size=2, pad_variable_length_inputs=True)
    futures = version.ask_all(callers, *[("double", row) for row in rows])
    assert values_of(futures) == [[[[2, 2, 2]]], [[[2, 2, 2]]]]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("sum", "FAILED_PRECONDITION: Batched output tensor has 0 dimensions"),
        ("twice", "FAILED_PRECONDITION: Batched output tensor's 0th dimension does not equal the sum of the 0th"),
    ],
)
def test_outputs_that_are_no_rows_are_an_error_even_for_one_request(name: str, error: str) -> None:
    version = make_version(batch_timeout_micros=0)
    with pytest.raises(StatusError) as caught:
        version.ask(name, floats(1, 2))
    assert str(caught.value).startswith(error)


def test_an_error_of_the_model_is_everybodys(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    futures = version.ask_all(callers, ("embed", texts("a")), ("embed", texts("bad")))
    assert errors_of(futures) == ["INVALID_ARGUMENT: bad input"] * 2
    assert futures[0].exception() is not futures[1].exception()
    futures = version.ask_all(callers, ("embed", texts("a")), ("embed", texts("die")))
    assert errors_of(futures) == ["INTERNAL: RuntimeError: died"] * 2


def test_a_large_request_is_split_and_joined_again(callers: Callers) -> None:
    version = make_version(
        max_batch_size=100, max_execution_batch_size=4, enable_large_batch_splitting=True, batch_timeout_micros=0
    )
    assert values_of([callers.call(version.ask, "embed", texts(*["a" * number for number in range(10)]))]) == [
        [[[number, -number] for number in range(10)], list(range(10))]
    ]
    assert version.inner.runs == [("embed", 4), ("embed", 4), ("embed", 2)]


def test_an_error_in_a_part_is_the_requests(callers: Callers) -> None:
    version = make_version(
        max_batch_size=100, max_execution_batch_size=2, enable_large_batch_splitting=True, batch_timeout_micros=0
    )
    futures = [callers.call(version.ask, "embed", texts("a", "b", "bad", "c", "d"))]
    assert errors_of(futures) == ["INVALID_ARGUMENT: bad input"]
    assert len(version.inner.runs) == 3


def test_too_large_a_request_is_refused() -> None:
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Task size 3 is larger than maximum input batch size 2"):
        make_version(max_batch_size=2).ask("double", floats(1, 2, 3))


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.ones((0,), np.float32)},  # a stock server would wait forever
        {"x": np.ones(2, np.float64)},  # the version's own error, and nobody else's
    ],
)
def test_what_cannot_be_batched_runs_alone(inputs: Any) -> None:
    version = make_version()
    version.ask("double", inputs, timeout_ms=5)
    assert version.inner.inputs[0]["x"] is inputs["x"]
    assert version.inner.timeouts == [5]


def test_a_request_with_unequal_rows_is_refused() -> None:
    unequal = {"text": texts("a")["text"], "text_pair": texts("b", "c")["text"]}
    with pytest.raises(StatusError, match=r"Batching Run\(\) input tensors must have equal 0th-dimension size"):
        make_version().ask("pair", unequal)


def test_a_batch_has_the_time_of_its_most_patient_client(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    futures = version.ask_all(callers, ("double", floats(1), (), 5000), ("double", floats(2), (), 7000))
    futures += version.ask_all(callers, ("double", floats(1), (), 5000), ("double", floats(2)))
    values_of(futures)
    assert version.inner.timeouts == [7000, None]


def test_requests_that_have_all_waited_too_long_are_not_run(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    futures = version.ask_all(callers, ("double", floats(1), (), 5000))
    version.clock.now += 6.0
    version.scheduler.add_queue(BatchingParameters(), lambda tasks: None)
    next(iter(version.servable._queues.values())).close()
    assert errors_of(futures) == ["RESOURCE_EXHAUSTED: Run() timeout exceeded while waiting in batching queue"]
    assert not version.inner.runs
    assert version.servable.statistics.num_dropped == 1
    assert futures[0].exception().code is Code.RESOURCE_EXHAUSTED  # type: ignore[union-attr]


def test_records_say_how_long_requests_waited(callers: Callers) -> None:
    version = make_version(max_batch_size=2)
    futures = version.ask_all(callers, ("double", floats(1)))
    version.clock.now += 2.0
    futures += version.ask_all(callers, ("double", floats(2)))
    values_of(futures)
    assert [record.kind for record in version.records] == ["request", "request", "batch"]
    record = version.records[-1]
    assert (record.signature, record.num_requests, record.waiting_seconds) == ("double", 2, (2.0, 0.0))


def test_close_runs_what_was_accepted_and_closes_the_version(callers: Callers) -> None:
    version = make_version()
    futures = version.ask_all(callers, ("double", floats(1)), ("embed", texts("a"), ("length",)))
    version.servable.close()
    assert values_of(futures) == [[[2]], [[1]]]
    assert version.inner.is_closed
    with pytest.raises(StatusError, match="UNAVAILABLE"):
        version.ask("double", floats(1))


def test_metadata_is_the_versions() -> None:
    version = make_version()
    assert version.servable.signatures is version.inner.signatures
    assert version.servable.signature_defs is version.inner.signature_defs
