import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.releases.versions import make_version
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.server_health import find_percentile, parse_health, read_server_health
from tfchain.deployment.releases.switch import promote, rollback, start_canary
from tfchain.deployment.releases.watch import (
    CanaryHealth,
    CanaryLimits,
    CanaryWatch,
    VersionHealth,
    find_lowest_rate,
    watch_canary,
)


class Clock:
    """Goes forward when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def health(
    canary: tuple[int, int], live: tuple[int, int] = (900, 0), *, ms: tuple[float, float] = (10, 10), recall: float = 1
) -> CanaryHealth:
    return CanaryHealth(VersionHealth(*live, ms[1]), VersionHealth(*canary, ms[0]), recall)


def watch_through(*readings: CanaryHealth, limits: CanaryLimits | None = None) -> tuple[str, str]:
    """The decision after all readings, a minute apart."""
    clock = Clock()
    watch = CanaryWatch(limits or CanaryLimits(), clock=clock)
    for reading in readings:
        decision = watch.decide(reading)
        clock.wait(60)
    return decision


def test_a_quiet_canary_waits_for_its_time_and_is_promoted() -> None:
    start = health((0, 0), (0, 0))
    assert watch_through(start, health((500, 2), (4500, 9)))[0] == "wait"
    readings = [start, *[health((500, 2), (4500, 9))] * 10]
    assert watch_through(*readings) == ("promote", "500 requests, 2 errors in 600 s")


def test_errors_beyond_the_live_versions_roll_it_back() -> None:
    decision, reason = watch_through(health((0, 0), (0, 0)), health((100, 9), (900, 9)))
    assert (decision, reason) == ("roll back", "9 of 100 requests failed; the live version's share is 1.00%")
    assert watch_through(health((0, 0), (0, 0)), health((100, 9), (900, 90)))[0] == "wait"  # wrong requests hit both


def test_one_early_error_does_not_end_a_canary_and_many_do() -> None:
    assert watch_through(health((0, 0)), health((30, 1)))[0] == "wait"
    assert watch_through(health((0, 0)), health((3, 3)))[0] == "roll back"


def test_what_was_before_the_watch_does_not_count() -> None:
    assert watch_through(health((1000, 900)), health((1100, 900)))[0] == "wait"
    assert watch_through(health((1000, 0)), health((5, 0)), health((9, 4)))[0] == "roll back"  # it started again


def test_a_slow_canary_and_wrong_answers_roll_it_back() -> None:
    decision, reason = watch_through(health((0, 0), (0, 0)), health((200, 0), ms=(18, 10)))
    assert (decision, reason) == ("roll back", "its 95th percentile is 1.80 times the live version's")
    assert watch_through(health((5, 0), recall=0.9)) == (
        "roll back",
        "the canary queries' recall is 0.900, below 0.95",
    )


def test_the_lowest_rate_is_wilsons() -> None:
    # 9 of 100, z = 1.6449: centre (0.09 + 0.013528), spread 1.6449 * sqrt(0.000819 + 0.0000676), over 1.027057
    assert find_lowest_rate(9, 100) == pytest.approx(0.05311, abs=1e-4)
    assert find_lowest_rate(0, 50) == pytest.approx(0)


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    for number in (1, 2):
        make_version(tmp_path / "docs", number)
    promote(tmp_path / "docs", 1)
    start_canary(tmp_path / "docs", 2, percent=10)
    return tmp_path / "docs"


def run(base_path: Path, readings: Iterator[CanaryHealth], **options: float) -> str:
    clock = Clock()
    return watch_canary(base_path, lambda: next(readings), clock=clock, wait=clock.wait, poll_seconds=60, **options)


def test_the_watch_promotes_or_rolls_back_and_says_why(base_path: Path) -> None:
    good = iter([health((0, 0)), *[health((500, 0), (5400, 0))] * 20])
    assert run(base_path, good) == "promote"
    assert (read_state(base_path).live, read_state(base_path).history[-1].reason) == (
        2,
        "500 requests, 0 errors in 600 s",
    )
    rollback(base_path)
    start_canary(base_path, 2)
    assert run(base_path, iter([health((0, 0)), health((50, 25))])) == "roll back"
    assert (read_state(base_path).live, read_state(base_path).canary) == (1, None)
    assert read_state(base_path).history[-1].reason.startswith("25 of 50 requests failed")


def test_a_canary_that_nobody_asks_is_rolled_back_in_the_end(base_path: Path) -> None:
    assert run(base_path, iter([health((0, 0))] * 100), timeout_seconds=600) == "roll back"
    assert "it was not decided in 600 s: 0 of 100 requests" in read_state(base_path).history[-1].reason


def test_a_server_that_does_not_answer_for_long_ends_the_canary(base_path: Path) -> None:
    def fail() -> CanaryHealth:
        raise ServerError("nobody there.")

    clock = Clock()
    assert watch_canary(base_path, fail, clock=clock, wait=clock.wait) == "roll back"
    assert clock.now == 1020  # the fifth time


def test_a_canary_that_somebody_else_ended_is_left_alone(base_path: Path) -> None:
    def reading() -> Iterator[CanaryHealth]:
        yield health((0, 0))
        rollback(base_path)
        yield health((0, 0))

    assert run(base_path, reading()) == "wait"
    with pytest.raises(InputError, match="There is no canary in .* to watch"):
        run(base_path, reading())
    with pytest.raises(InputError, match="`max_error_rate` must be from 0 to 1. Received: max_error_rate=2."):
        CanaryLimits(max_error_rate=2)


PAGE = """# TYPE tfchain_version_requests_total counter
tfchain_version_requests_total{model="docs",version="1",status="OK"} 90
tfchain_version_requests_total{model="docs",version="1",status="INTERNAL"} 10
tfchain_version_requests_total{model="docs",version="2",status="OK"} 7
tfchain_version_requests_total{model="other",version="2",status="OK"} 5
tfchain_version_seconds_bucket{model="docs",version="2",le="0.01"} 4
tfchain_version_seconds_bucket{model="docs",version="2",le="0.02"} 8
tfchain_version_seconds_bucket{model="docs",version="2",le="+Inf"} 8
"""


def test_the_health_is_read_from_a_page_of_metrics() -> None:
    found = parse_health(PAGE, "docs", live=1, canary=2)
    assert found == CanaryHealth(VersionHealth(100, 10), VersionHealth(7, 0, pytest.approx(19.0)))
    assert parse_health("", "docs", live=1, canary=2).canary == VersionHealth(0, 0)


def test_a_percentile_is_interpolated_within_its_bucket() -> None:
    assert find_percentile([(0.1, 50), (0.2, 100), (float("inf"), 100)], 0.75) == pytest.approx(150)
    assert find_percentile([(0.1, 0), (float("inf"), 10)], 0.5) == pytest.approx(100)
    assert find_percentile([], 0.5) is None


@pytest.mark.parametrize("reading", [health((200, 100)), health((200, 0))])
def test_what_somebody_else_does_while_the_health_is_read_stays(base_path: Path, reading: CanaryHealth) -> None:
    """The canary 2 is ended, and 3 is on trial, when the decision about 2 falls."""
    make_version(base_path, 3)

    def read_health() -> CanaryHealth:
        rollback(base_path)
        start_canary(base_path, 3, percent=20)
        return reading

    clock, first = Clock(), iter([health((0, 0))])
    decision = watch_canary(
        base_path,
        lambda: next(first, None) or read_health(),
        limits=CanaryLimits(hold_seconds=0),
        clock=clock,
        wait=clock.wait,
    )

    state = read_state(base_path)
    assert (decision, state.live, state.canary) == ("wait", 1, 3)


def test_a_server_that_breaks_off_its_answer_is_one_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ServerError, match="does not show its metrics"):
            read_server_health(f"http://127.0.0.1:{server.getsockname()[1]}", "docs", live=1, canary=2)
        thread.join(10)
