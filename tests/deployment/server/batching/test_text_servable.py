"""Versions whose texts run in batches, with a fake version."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from tests.deployment.server.batching.fakes import SECONDS, Callers, Clock, FakeServable, WatchedStatistics, texts
from tfchain.deployment.server.batching.text_servable import TextBatchingServable, find_batched
from tfchain.deployment.server.status import Code, StatusError


class Version:
    """A fake version, and the servable around it."""

    def __init__(self, **options: Any) -> None:
        self.inner = FakeServable()
        self.clock = Clock()
        self.servable = TextBatchingServable(self.inner, find_batched(self.inner), clock=self.clock, **options)
        self.statistics = self.servable.statistics = WatchedStatistics()
        self.servable._scheduler.statistics = self.statistics

    def ask(self, name: str, inputs: Any, outputs: Any = ("embedding",), timeout_ms: int | None = None) -> Any:
        return self.servable.run(self.servable.signatures[name], inputs, list(outputs), timeout_ms)

    def hold(self, callers: Callers, *asked: Any) -> "list[Future[Any]]":
        """Lets a request of another signature run, and others queue up behind it."""
        self.inner.gate.shut()
        callers.call(self.ask, "other", texts("first"))
        self.inner.gate.wait_for(1)
        futures = []
        for number, arguments in enumerate(asked, 1):
            futures.append(callers.call(self.ask, *arguments))
            self.statistics.wait_for_queue(number)
        return futures

    @property
    def batches(self) -> list[tuple[str, int]]:
        """What ran after the first request."""
        return self.inner.runs[1:]


@pytest.fixture
def version() -> Version:
    return Version()


@pytest.fixture
def callers() -> Iterator[Callers]:
    with Callers() as made:
        yield made


def ids(*rows: list[int]) -> dict[str, np.ndarray]:
    token_ids = np.array(rows, np.int32)
    return {"token_ids": token_ids, "padding_mask": np.ones_like(token_ids)}


def test_signatures_are_batched_whose_answers_do_not_depend_on_the_texts_beside_them(version: Version) -> None:
    assert version.servable.batched == {"embed", "other", "pair", "embed_ids"}  # not tokenize, which pads, nor numbers


def test_each_client_gets_its_own_rows(version: Version, callers: Callers) -> None:
    both = ("embedding", "length")
    futures = version.hold(
        callers, ("embed", texts("a", "bbb"), both), ("embed", texts("cc"), both), ("embed", texts("", "dddd"), both)
    )
    version.inner.gate.open()
    first, second, third = [future.result(SECONDS) for future in futures]
    assert version.batches == [("embed", 5)]
    assert [value.tolist() for value in first] == [[[1, -1], [3, -3]], [1, 3]]
    assert [value.tolist() for value in second] == [[[2, -2]], [2]]
    assert [value.tolist() for value in third] == [[[0, 0], [4, -4]], [0, 4]]


def test_outputs_come_in_the_order_in_which_they_were_asked_for(version: Version, callers: Callers) -> None:
    futures = version.hold(
        callers,
        ("embed", texts("a"), ("length", "embedding")),
        ("embed", texts("b"), ("length", "embedding")),
        ("embed", texts("c"), ("embedding",)),
    )
    version.inner.gate.open()
    length, embedding = futures[0].result(SECONDS)
    assert (length.tolist(), embedding.tolist()) == ([1], [[1, -1]])
    assert len(futures[2].result(SECONDS)) == 1
    assert version.batches == [("embed", 2), ("embed", 1)]


def test_signatures_run_apart(version: Version, callers: Callers) -> None:
    pair = {"text": texts("a")["text"], "text_pair": texts("b")["text"]}
    futures = version.hold(
        callers, ("embed", texts("a")), ("pair", pair), ("embed", texts("b")), ("pair", pair), ("other", texts("c"))
    )
    version.inner.gate.open()
    for future in futures:
        future.result(SECONDS)
    assert version.batches == [("embed", 2), ("pair", 2), ("other", 1)]
    assert version.inner.inputs[2]["text_pair"].tolist() == [b"b", b"b"]


def test_token_ids_of_one_length_share_a_batch_and_are_never_padded(version: Version, callers: Callers) -> None:
    futures = version.hold(
        callers, ("embed_ids", ids([1, 2])), ("embed_ids", ids([1, 2, 3])), ("embed_ids", ids([3, 4], [5, 6]))
    )
    version.inner.gate.open()
    assert [future.result(SECONDS)[0][:, 0].tolist() for future in futures] == [[3], [6], [7, 11]]
    assert version.batches == [("embed_ids", 3), ("embed_ids", 1)]


def test_token_ids_count_by_their_length(callers: Callers) -> None:
    version = Version(max_tokens=8)
    futures = version.hold(callers, *[("embed_ids", ids([1, 2, 3, 4]))] * 3)
    version.inner.gate.open()
    for future in futures:
        future.result(SECONDS)
    assert version.batches == [("embed_ids", 2), ("embed_ids", 1)]


def test_texts_count_by_their_length_up_to_that_of_the_model(callers: Callers) -> None:
    version = Version(max_tokens=20, max_length=10)
    futures = version.hold(callers, *[("embed", texts("word " * 100))] * 3)
    version.inner.gate.open()
    for future in futures:
        future.result(SECONDS)
    assert version.batches == [("embed", 2), ("embed", 1)]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("tokenize", texts("a", "bb")),
        ("double", {"x": np.ones(2, np.float32)}),
        ("embed", {"text": np.array(b"a", object)}),  # a scalar
        ("embed", {"text": np.array([[b"a"]], object)}),  # too many dimensions
        ("embed", {"text": np.ones(2, np.float32)}),  # no text
        ("embed", {"text": np.array([], object)}),  # no rows
        ("pair", {"text": texts("a")["text"], "text_pair": texts("b", "c")["text"]}),  # unequal rows
    ],
)
def test_other_requests_go_to_the_version_unchanged(version: Version, callers: Callers, name: str, inputs: Any) -> None:
    version.inner.gate.shut()
    callers.call(version.ask, "other", texts("first"))
    version.inner.gate.wait_for(1)
    asked = callers.call(version.ask, name, inputs, list(version.servable.signatures[name].outputs), 77)
    version.inner.gate.wait_for(2)  # it does not wait for the batch that runs
    assert all(version.inner.inputs[1][key] is value for key, value in inputs.items())
    assert version.inner.timeouts[1] == 77
    version.inner.gate.open()
    asked.exception(SECONDS)


def test_a_request_larger_than_a_batch_does_not_wait_and_does_not_hold_up_others(callers: Callers) -> None:
    version = Version(max_tokens=100)
    version.inner.gate.shut()
    large = callers.call(version.ask, "embed", texts(*["some text"] * 60), ("embedding",), 77)
    version.inner.gate.wait_for(1)
    small = callers.call(version.ask, "embed", texts("a"))
    version.inner.gate.wait_for(2)  # both run
    again = callers.call(version.ask, "embed_ids", ids(*[[1, 2]] * 51))
    version.inner.gate.wait_for(3)
    version.inner.gate.open()
    assert [len(future.result(SECONDS)[0]) for future in (large, small, again)] == [60, 1, 51]
    assert version.inner.timeouts[0] == 77
    assert version.statistics.num_batches == 1


def test_a_bad_input_fails_for_its_own_client_alone(version: Version, callers: Callers) -> None:
    futures = version.hold(
        callers, ("embed", texts("a")), ("embed", texts("bad")), ("embed", texts("c")), ("embed", texts("die"))
    )
    version.inner.gate.open()
    assert futures[0].result(SECONDS)[0].tolist() == futures[2].result(SECONDS)[0].tolist() == [[1, -1]]
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: bad input"):
        futures[1].result(SECONDS)
    with pytest.raises(RuntimeError, match="died"):
        futures[3].result(SECONDS)
    assert version.batches == [("embed", 4)] + [("embed", 1)] * 4


def test_a_signature_whose_outputs_are_no_rows_is_not_batched_again(version: Version, callers: Callers) -> None:
    run = version.inner.run

    def run_without_rows(signature: Any, inputs: Any, outputs: Any, timeout_ms: int | None = None) -> Any:
        return [np.ones((7, 2), np.float32) for _ in run(signature, inputs, outputs, timeout_ms)]

    version.inner.run = run_without_rows  # type: ignore[method-assign]
    futures = version.hold(callers, ("embed", texts("a")), ("embed", texts("b")))
    version.inner.gate.open()
    assert [len(future.result(SECONDS)[0]) for future in futures] == [7, 7]
    assert "embed" not in version.servable.batched
    assert version.batches == [("embed", 2), ("embed", 1), ("embed", 1)]


def test_a_request_alone_keeps_its_inputs_and_its_timeout(version: Version) -> None:
    asked = texts("a")
    version.ask("embed", asked, timeout_ms=1234)
    version.ask("embed", asked)
    assert version.inner.inputs[0]["text"] is asked["text"]
    assert version.inner.timeouts == [1234, None]


def test_a_batch_has_the_time_of_its_most_patient_client(version: Version, callers: Callers) -> None:
    futures = version.hold(
        callers,
        ("embed", texts("a"), ("embedding",), 3000),
        ("embed", texts("b"), ("embedding",), 9000),
        ("other", texts("c"), ("embedding",), 9000),
        ("other", texts("d")),
    )
    version.clock.now += 1.0
    version.inner.gate.open()
    for future in futures:
        future.result(SECONDS)
    assert version.inner.timeouts[1:] == [8000, None]


def test_what_nobody_waits_for_is_not_run(version: Version, callers: Callers) -> None:
    futures = version.hold(callers, ("embed", texts("a"), ("embedding",), 3000), ("embed", texts("b")))
    version.clock.now += 4.0
    version.inner.gate.open()
    error = futures[0].exception(SECONDS)
    assert isinstance(error, StatusError)
    assert error.code is Code.DEADLINE_EXCEEDED
    assert futures[1].result(SECONDS)[0].tolist() == [[1, -1]]
    assert version.batches == [("embed", 1)]


def test_an_engine_of_several_runs_several_batches() -> None:
    inner = FakeServable()
    inner.num_engines = 3  # type: ignore[attr-defined]
    servable = TextBatchingServable(inner, find_batched(inner))
    inner.gate.shut()
    with Callers() as callers:
        for _ in range(3):
            callers.call(servable.run, servable.signatures["embed"], texts("a"), ["embedding"])
        inner.gate.wait_for(3)
        inner.gate.open()


def test_close_closes_the_version_after_what_it_has_accepted(version: Version, callers: Callers) -> None:
    futures = version.hold(callers, ("embed", texts("a")), ("embed", texts("b")))
    closing = callers.call(version.servable.close)
    version.inner.gate.open()
    closing.result(SECONDS)
    assert version.inner.is_closed
    assert [future.result(SECONDS)[0].tolist() for future in futures] == [[[1, -1]], [[1, -1]]]
    with pytest.raises(StatusError, match="UNAVAILABLE"):
        version.ask("embed", texts("a"))


def test_metadata_is_the_versions(version: Version) -> None:
    assert version.servable.signatures is version.inner.signatures
    assert version.servable.signature_defs is version.inner.signature_defs
