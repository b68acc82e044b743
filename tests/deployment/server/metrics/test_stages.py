"""The times of stages by model and version: of real requests, of batches, and while versions come and go."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tests.native_version import NativeVersion
from tfchain.chains.model_server import find_obstacle, load
from tfchain.core.native import NativeEngine
from tfchain.core.stages import StageRecord, stage
from tfchain.deployment.server.batching.text_servable import TextBatchingServable
from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.metrics.stages import MeasuredServable, StageMetrics
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.status import Code, StatusError

STRING = 7
SEARCH = Signature("search", {"text": TensorSpec("text:0", STRING)}, {"scores": TensorSpec("scores:0", 1)})


class Searcher:
    """A version that marks the stages of a search, and fails for the text `bad`.

    Attributes:
        arrived: Released for each run, which then waits for `may_go`.
    """

    signatures: Mapping[str, Signature] = {"search": SEARCH}
    signature_defs: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.arrived = threading.Semaphore(0)
        self.may_go = threading.Event()
        self.may_go.set()

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        self.sizes.append(len(inputs["text"]))
        self.arrived.release()
        assert self.may_go.wait(30)
        with stage("tokenize"):
            pass
        if b"bad" in inputs["text"]:
            raise StatusError(Code.INTERNAL, "bad")
        for name in ("encode", "search"):
            with stage(name), stage("run"):
                pass
        return [np.zeros((len(inputs["text"]), 1), "float32")]

    def close(self) -> None:
        pass


class Page:
    """A registry with the stages of versions."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.metrics = StageMetrics(self.registry)

    def begin(self, version: int = 3, searcher: Searcher | None = None) -> MeasuredServable:
        measured = self.metrics.measure(searcher or Searcher(), "docs", version)
        measured.begin()
        return measured

    def counts(self) -> dict[str, int]:
        return read_counts(write_metrics(self.registry.metrics()))


def read_counts(page: str) -> dict[str, int]:
    """The numbers of measured stages by labels, as in `docs 3 encode`."""
    found = {}
    for line in page.splitlines():
        if line.startswith("tfchain_stage_seconds_count{"):
            labels, _, number = line.rpartition(" ")
            found[" ".join(labels.split('"')[1::2])] = int(number)
    return found


def ask(servable: Any, *texts: str) -> list[np.ndarray]:
    return servable.run(SEARCH, {"text": np.array([text.encode() for text in texts], dtype=object)}, ["scores"])


@pytest.fixture(scope="module")
def wire(native_version: NativeVersion) -> Iterator[Wire]:
    options = ServerOptions(
        "docs",
        native_version.path.parent,
        host="127.0.0.1",
        grpc_port=None,
        rest_port=0,
        poll_seconds=0,
        load=LoadOptions(engine="native"),
        native=NativeEngine(find_obstacle, load),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


def test_a_request_to_a_server_counts_each_stage_once_and_its_warmup_none(wire: Wire) -> None:
    assert read_counts(wire.http("GET", "/metrics").text) == {}
    for number in (1, 2):
        assert wire.http("POST", "/v1/models/docs:predict", b'{"instances": ["a dog", "a cat"]}').status == 200
        counts = read_counts(wire.http("GET", "/metrics").text)
        assert counts == {f"docs 1 {name}": number for name in ("tokenize", "encode", "search")}
    total = 0.0
    page = wire.http("GET", "/metrics").text
    for line in page.splitlines():
        if line.startswith("tfchain_stage_seconds_sum{"):
            seconds = float(line.rpartition(" ")[2])
            assert seconds > 0
            total += seconds
    latency = next(line for line in page.splitlines() if line.startswith(":tensorflow:serving:request_latency_sum{"))
    assert total < float(latency.rpartition(" ")[2]) / 1e6


@pytest.mark.parametrize(
    ("path", "body", "num_tokenized", "num_searched"),
    [("/v1/search", b'{"query": "a dog"}', 1, 1), ("/v1/embeddings", b'{"input": "a dog"}', 2, 0)],
)
def test_endpoints_for_texts_are_measured_by_their_runs(
    wire: Wire, path: str, body: bytes, num_tokenized: int, num_searched: int
) -> None:
    before = read_counts(wire.http("GET", "/metrics").text)
    assert wire.http("POST", path, body).status == 200
    after = read_counts(wire.http("GET", "/metrics").text)
    change = [
        after.get(f"docs 1 {name}", 0) - before.get(f"docs 1 {name}", 0) for name in ("tokenize", "encode", "search")
    ]
    assert change == [num_tokenized, 1, num_searched]


def test_a_run_is_measured_by_model_and_version_whether_it_is_traced_or_not() -> None:
    page = Page()
    third, fourth = page.begin(3), page.begin(4)
    ask(third, "a")
    with StageRecord() as record:
        record.add("queue", 1.0, 2.0)  # before the run
        ask(third, "a")
        ask(fourth, "a")
    names = ["tokenize", "encode", "search"]
    assert [found.name for found in record.stages] == ["queue", *names, *names]
    assert page.counts() == {
        **{f"docs 3 {name}": 2 for name in names},
        **{f"docs 4 {name}": 1 for name in names},
    }


def test_the_time_of_a_stage_is_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.25, 2.0, 2.5, 4.0, 5.0])
    monkeypatch.setattr("tfchain.core.stages.monotonic", lambda: next(times))
    page = Page()
    ask(page.begin(), "a")
    for name, seconds in (("tokenize", 0.25), ("encode", 0.5), ("search", 1.0)):
        assert page.metrics.seconds.labels("docs", "3", name).snapshot()[1] == seconds


def test_runs_that_fail_or_warm_up_are_not_measured() -> None:
    page = Page()
    measured = page.metrics.measure(Searcher(), "docs", 3)
    ask(measured, "warm-up")
    measured.begin()
    with pytest.raises(StatusError, match="bad"):
        ask(measured, "bad")
    with StageRecord(), pytest.raises(StatusError, match="bad"):
        ask(measured, "bad")
    assert page.counts() == {}


def test_a_batch_of_several_requests_is_one_run() -> None:
    page, searcher = Page(), Searcher()
    batched = TextBatchingServable(page.begin(searcher=searcher), ["search"])
    searcher.may_go.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, batched, "a")
        assert searcher.arrived.acquire(timeout=30)
        others = [pool.submit(ask, batched, text) for text in ("b", "c", "d")]
        while batched.statistics.queue_length < len(others):
            time.sleep(0.001)
        searcher.may_go.set()
        for answer in (first, *others):
            assert answer.result(30)[0].shape == (1, 1)
    assert searcher.sizes[0] == 1
    assert sum(searcher.sizes) == 4
    assert page.counts() == {f"docs 3 {name}": len(searcher.sizes) for name in ("tokenize", "encode", "search")}
    batched.close()
    assert page.counts() == {}


def test_a_closed_version_is_forgotten_unless_another_load_of_it_runs() -> None:
    page = Page()
    old, new, other = page.begin(3), page.begin(3), page.begin(4)
    for each in (old, new, other):
        ask(each, "a")
    old.close()
    assert page.counts()["docs 3 encode"] == 2
    new.close()
    assert page.counts().keys() == {"docs 4 tokenize", "docs 4 encode", "docs 4 search"}
    ask(page.begin(3), "a")  # loaded again
    assert page.counts()["docs 3 encode"] == 1


def test_what_a_version_says_of_batching_is_passed_on() -> None:
    searcher: Any = Searcher()
    measured = Page().begin(searcher=searcher)
    assert (measured.is_worth_batching, measured.num_engines) == (True, 1)
    searcher.is_worth_batching, searcher.num_engines = False, 4
    assert (measured.is_worth_batching, measured.num_engines) == (False, 4)
