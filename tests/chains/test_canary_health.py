"""A canary on a server is judged by canary queries, which it gets beside its users' requests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.canary_server import DOCUMENTS, WRONG, CanaryServer, serve_releases, write_words
from tfchain.chains.canary_health import CanaryHealthReader, ask_within, read_watched_canaries
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.switch import promote, start_canary
from tfchain.deployment.releases.watch import CanaryLimits, watch_canary
from tfchain.monitoring.canaries.ask import CanaryAnswer
from tfchain.monitoring.canaries.canary import CanaryQuery, write_canaries

KNOWN = [CanaryQuery("the cat sleeps", ("cat",)), CanaryQuery("stocks fell", ("stock",))]
GOOD, SWAPPED = 2, 3


class Clock:
    """Goes forward when somebody waits; then `then` happens."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.now = 1000.0
        self._then = then

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._then()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base_path = tmp_path_factory.mktemp("words") / "docs"
    for number, documents in ((1, DOCUMENTS), (GOOD, DOCUMENTS), (SWAPPED, WRONG)):
        write_words(base_path, number, documents)
    return base_path


@pytest.fixture(scope="module")
def running(exported: Path) -> Iterator[CanaryServer]:
    promote(exported, 1, needs_blessing=False)
    with serve_releases(exported) as server:
        yield server


@pytest.fixture
def server(running: CanaryServer) -> Iterator[CanaryServer]:
    yield running
    promote(running.base_path, 1, needs_blessing=False)
    running.poll()


def start(server: CanaryServer, version: int) -> None:
    start_canary(server.base_path, version, needs_blessing=False)
    server.poll()


def make_reader(
    server: CanaryServer, version: int, canaries: list[CanaryQuery], clock: Clock, **options: float
) -> CanaryHealthReader:
    return CanaryHealthReader(
        server.url, "docs", live=1, canary=version, canaries=canaries, clock=clock, every_seconds=30, **options
    )


def watch(server: CanaryServer, reader: CanaryHealthReader, clock: Clock, **options: float) -> tuple[str, str]:
    limits = CanaryLimits(min_requests=7, hold_seconds=60, max_latency_ratio=1e6)  # the time here is of no matter
    decision = watch_canary(
        server.base_path, reader.read, limits=limits, clock=clock, wait=clock.wait, poll_seconds=10, **options
    )
    return decision, read_state(server.base_path).history[-1].reason


def test_a_canary_that_answers_is_promoted_by_its_users_requests_alone(server: CanaryServer) -> None:
    start(server, GOOD)
    clock = Clock(lambda: (server.ask(GOOD, 2), server.ask(1, 2)))
    reader = make_reader(server, GOOD, KNOWN, clock)
    # Read at 0, 10, …, 60 s: 12 requests of users, and 6 canary queries at 0, 30 and 60 s, which are left out.
    assert watch(server, reader, clock) == ("promote", "12 requests, 0 errors in 60 s")


def test_canary_queries_do_not_promote_a_canary_that_nobody_asks(server: CanaryServer) -> None:
    start(server, GOOD)
    clock = Clock()
    decision, reason = watch(server, make_reader(server, GOOD, KNOWN, clock), clock, timeout_seconds=300)
    assert (decision, reason) == ("roll back", "it was not decided in 300 s: 0 of 7 requests")


def test_a_canary_that_finds_something_else_is_rolled_back_at_once(server: CanaryServer) -> None:
    start(server, SWAPPED)
    clock = Clock()
    found = watch(server, make_reader(server, SWAPPED, KNOWN, clock), clock)
    assert found == ("roll back", "the canary queries' recall is 0.000, below 0.95")
    assert clock.now == 1000
    assert (read_state(server.base_path).live, read_state(server.base_path).canary) == (1, None)


def test_a_canary_that_gets_worse_is_noticed_at_the_next_check(server: CanaryServer) -> None:
    start(server, GOOD)
    clock = Clock()
    known = list(KNOWN)
    reader = make_reader(server, GOOD, known, clock)
    assert reader.read().recall == 1.0
    known[1] = CanaryQuery("stocks fell", ("cat",))  # as if the server now found another document
    clock.wait(29)
    assert reader.read().recall == 1.0
    clock.wait(1)
    assert reader.read().recall == 0.5


def test_other_scores_than_the_versions_own_are_a_fault(server: CanaryServer) -> None:
    start(server, GOOD)
    clock = Clock()
    own = [CanaryQuery("the cat sleeps", ("cat",), (0.5,))]  # the server gives 1
    decision, reason = watch(server, make_reader(server, GOOD, own, clock), clock)
    assert decision == "roll back"
    assert reason.startswith("canary queries are not answered as expected: The scores are other ones than before")


def test_a_query_without_an_answer_counts_as_not_found_and_none_as_no_health(server: CanaryServer) -> None:
    start(server, GOOD)
    clock = Clock()
    crash = CanaryQuery("crash", ("cat",))
    reader = make_reader(server, GOOD, [*KNOWN, KNOWN[0], crash], clock)
    assert reader.read().recall == 0.75
    assert reader.read().canary.errors == 0  # the failed request was not a user's
    reader = make_reader(server, GOOD, [crash], clock)
    with pytest.raises(ServerError, match="No canary query was answered. .* it crashed"):
        reader.read()


def test_a_canary_is_not_asked_before_it_is_loaded_and_not_waited_for_without_end(server: CanaryServer) -> None:
    start_canary(server.base_path, GOOD, needs_blessing=False)  # the server has not looked yet
    clock = Clock()
    reader = make_reader(server, GOOD, KNOWN, clock, ready_seconds=20)
    assert reader.read().recall is None
    decision, reason = watch(server, reader, clock)
    assert decision == "roll back"
    assert "The server must load version 2 of docs before it can be asked canary queries" in reason
    assert clock.now == 1060  # ready by 1020, then the fifth reading in a row that fails
    start(server, GOOD)
    assert reader.read().recall == 1.0


def test_the_versions_own_canaries_keep_vectors_and_those_of_a_file_only_ids(tmp_path: Path) -> None:
    version = tmp_path / "docs" / "2"
    version.mkdir(parents=True)
    assert read_watched_canaries(version) == []
    own = write_canaries(version, [CanaryQuery("a", ("x",), (0.5,)), CanaryQuery("b")])
    assert [canary.scores for canary in read_watched_canaries(version)] == [(0.5,), ()]
    assert len(read_watched_canaries(version, own)) == len(read_watched_canaries(version, version)) == 2
    other = tmp_path / "known.jsonl"
    other.write_text(own.read_text())
    assert [(canary.ids, canary.scores) for canary in read_watched_canaries(version, other)] == [(("x",), ())]
    other.write_text(json.dumps({"text": "b"}))
    with pytest.raises(InputError, match="`canaries` must name answers.*known.jsonl, where no line has `ids`"):
        read_watched_canaries(version, other)
    with pytest.raises(InputError, match="There are no canary queries at .*gone.jsonl"):
        read_watched_canaries(version, tmp_path / "gone.jsonl")


def test_a_check_ends_when_its_time_is_over() -> None:
    clock = Clock()
    ask = ask_within(lambda _: CanaryAnswer(), 60, clock)
    ask(KNOWN[0])
    clock.wait(60)
    with pytest.raises(ServerError, match="The 60 s for a check were over"):
        ask(KNOWN[0])
