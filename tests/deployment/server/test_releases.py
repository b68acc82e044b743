"""Releases as a server follows them, with versions that answer their own number."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deployment.releases.versions import make_version
from tfchain.deployment.release_state import RELEASES
from tfchain.deployment.releases.switch import promote, rollback, start_canary, start_shadow
from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.policies import Latest
from tfchain.deployment.server.releases import Released, Traffic
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.status import StatusError, invalid_argument
from tfchain.deployment.shadow_log import read_summary

SIGNATURE = Signature("search", {"text": TensorSpec("text:0", 7)}, {"ids": TensorSpec("ids:0", 7)})
TEXT = {"text": np.array([b"cats"], dtype=object)}


class Numbered:
    """Finds documents named after its version; the version 9 fails."""

    signatures: Mapping[str, Signature] = {"search": SIGNATURE}
    signature_defs: Mapping[str, Any] = {}

    def __init__(self, version: int) -> None:
        self.version = version

    def run(self, signature: Signature, inputs: Any, outputs: Sequence[str], timeout_ms: int | None = None) -> list:
        if self.version == 9:
            raise invalid_argument("nine never answers")
        return [np.array([[b"a", b"b", b"%d" % self.version]], dtype=object)]

    def close(self) -> None:
        pass


class Server:
    """A manager that follows a base path, polled by the test."""

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path
        self.registry = Registry()
        self.traffic = Traffic(self.registry)
        models = self.traffic.follow_models({"docs": ModelConfig("docs", base_path)})
        assert models is not None
        self.policy = models["docs"].policy
        self.held: dict[int, threading.Event] = {}  # versions whose load waits
        self.broken: set[int] = set()
        self.manager = Manager(self.load, max_retries=0, retry_seconds=0.01)
        self.traffic.attach(self.manager)

    def load(self, name: str, version: int, path: Path) -> Any:
        if version in self.held:
            self.held[version].wait(10)
        if version in self.broken:
            raise invalid_argument(f"{version} is broken")
        return self.traffic.watch(Numbered(version), name, version)

    def poll(self, *expected: int) -> None:
        """Polls once, and waits until exactly these versions answer."""
        self.manager.set_wanted("docs", self.policy("docs", list_versions(self.base_path)))
        wait_for(lambda: [n for n in (1, 2, 3, 4, 9) if self.manager.is_available("docs", n)] == sorted(expected))

    def ask(self, version: int | None = None) -> str:
        with self.manager.lend(ModelSpec("docs", version)) as lease:
            return lease.servable.run(SIGNATURE, TEXT, ["ids"])[0][0, 2].decode()

    def count(self, name: str) -> dict[tuple[str, ...], float]:
        metric = next(metric for metric in self.registry.metrics() if metric.name == name)
        return {labels: cell.value for labels, cell in metric.cells()}  # type: ignore[union-attr]


def wait_for(is_so: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(1000):
        if is_so():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come about in ten seconds")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    for number in (1, 2, 3):
        make_version(tmp_path / "docs", number)
    started = Server(tmp_path / "docs")
    yield started
    started.traffic.close()
    started.manager.close()


def test_before_a_release_the_highest_version_answers_and_nothing_is_counted(server: Server) -> None:
    server.poll(3)
    assert server.ask() == "3"
    assert server.count("tfchain_version_requests_total") == {}


def test_the_promoted_version_answers_and_a_rollback_takes_it_back(server: Server) -> None:
    promote(server.base_path, 1)
    server.poll(1)
    promote(server.base_path, 2)
    server.poll(2)
    assert server.ask() == "2"
    rollback(server.base_path)
    server.poll(1)
    assert server.ask() == "1"
    wait_for(lambda: server.count("tfchain_version_requests_total") == {("docs", "1", "OK"): 1})  # 2 is unloaded


def test_a_canary_gets_its_share_of_the_requests_that_name_no_version(server: Server) -> None:
    promote(server.base_path, 2)
    start_canary(server.base_path, 3, percent=10)
    server.poll(2, 3)
    answers = Counter(server.ask() for _ in range(1000))
    assert 95 <= answers["3"] <= 105
    assert answers["2"] + answers["3"] == 1000
    assert {server.ask(2) for _ in range(50)} == {"2"}
    rollback(server.base_path)
    server.poll(2)
    assert {server.ask() for _ in range(50)} == {"2"}


@pytest.mark.parametrize("slow", [2, 3], ids=["the live version", "the canary"])
def test_a_server_that_starts_beside_a_canary_is_loaded_when_both_answer(server: Server, slow: int) -> None:
    promote(server.base_path, 2, needs_blessing=False)
    start_canary(server.base_path, 3, percent=1, needs_blessing=False)
    server.held[slow] = threading.Event()
    server.manager.set_wanted("docs", server.policy("docs", list_versions(server.base_path)))
    wait_for(lambda: server.manager.is_available("docs", 5 - slow))
    with pytest.raises(StatusError, match=r"The models docs were not loaded in 0 s"):  # the other would get all
        server.manager.wait_until_loaded(["docs"], 0.05)
    server.held[slow].set()
    assert server.manager.wait_until_loaded(["docs"], 10) == {}
    assert Counter(server.ask() for _ in range(100))["3"] == 1


def test_a_server_that_starts_beside_a_canary_waits_for_it_a_minute_at_most(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tfchain.deployment.server.manager._AWAITED_SECONDS", 0.05)
    promote(server.base_path, 2, needs_blessing=False)
    start_canary(server.base_path, 3, percent=50, needs_blessing=False)
    server.held[3] = threading.Event()
    server.manager.set_wanted("docs", server.policy("docs", list_versions(server.base_path)))
    assert server.manager.wait_until_loaded(["docs"], 10) == {}
    assert {server.ask() for _ in range(20)} == {"2"}
    assert "docs: not all versions are loaded; the others answer." in caplog.text
    server.held[3].set()


def test_a_server_that_starts_beside_a_canary_that_cannot_be_loaded_answers_all_the_same(server: Server) -> None:
    server.manager.close()
    server.manager = Manager(server.load, max_retries=1, retry_seconds=60)
    server.traffic.attach(server.manager)
    server.broken.add(3)
    promote(server.base_path, 2, needs_blessing=False)
    start_canary(server.base_path, 3, percent=50, needs_blessing=False)
    server.manager.set_wanted("docs", server.policy("docs", list_versions(server.base_path)))
    assert server.manager.wait_until_loaded(["docs"], 10) == {}
    assert {server.ask() for _ in range(20)} == {"2"}


def test_a_canary_that_is_lower_than_the_live_version_is_one_too(server: Server) -> None:
    promote(server.base_path, 3)
    start_canary(server.base_path, 1, percent=50)
    server.poll(1, 3)
    answers = Counter(server.ask() for _ in range(200))
    assert 95 <= answers["1"] <= 105


def test_errors_of_a_canary_are_counted_by_version(server: Server) -> None:
    make_version(server.base_path, 9)
    promote(server.base_path, 2)
    start_canary(server.base_path, 9, percent=50)
    server.poll(2, 9)
    for _ in range(100):
        with contextlib.suppress(StatusError):
            server.ask()
    counts = server.count("tfchain_version_requests_total")
    assert counts["docs", "9", "INVALID_ARGUMENT"] + counts["docs", "2", "OK"] == 100
    assert 47 <= counts["docs", "9", "INVALID_ARGUMENT"] <= 53


def test_a_damaged_file_changes_nothing(server: Server) -> None:
    promote(server.base_path, 2)
    server.poll(2)
    (server.base_path / RELEASES).write_text("{")
    server.poll(2)
    assert server.ask() == "2"


def test_a_live_version_that_is_gone_leaves_the_highest(server: Server, tmp_path: Path) -> None:
    promote(server.base_path, 2)
    server.poll(2)
    (server.base_path / "2").rename(tmp_path / "gone")
    server.poll(3)
    assert server.ask() == "3"


def test_a_shadow_gets_copies_and_never_answers(server: Server) -> None:
    promote(server.base_path, 2)
    start_shadow(server.base_path, 3, percent=50)
    server.poll(2, 3)
    assert {server.ask() for _ in range(40)} == {"2"}
    wait_for(lambda: sum(server.count("tfchain_shadow_requests_total").values()) == 20)
    counts = server.count("tfchain_shadow_requests_total")
    assert set(counts) <= {("docs", "3", "compared"), ("docs", "3", "dropped")}
    summary = read_summary(server.base_path, 3)
    assert summary.num_requests == counts["docs", "3", "compared"]
    assert (summary.num_failed, summary.overlap) == (0, pytest.approx(2 / 3))
    assert b"cats" not in (server.base_path / "shadow-3.jsonl").read_bytes()


def test_no_request_reaches_a_shadow_while_another_version_answers(server: Server) -> None:
    promote(server.base_path, 2)
    start_shadow(server.base_path, 3)
    server.poll(2, 3)
    assert server.traffic.choose("docs", {1, 3}) == 1  # the live one is gone
    assert server.traffic.choose("docs", {3}) is None


def test_a_shadow_that_fails_costs_the_live_version_nothing(server: Server) -> None:
    make_version(server.base_path, 9)
    promote(server.base_path, 2)
    start_shadow(server.base_path, 9, percent=100)
    server.poll(2, 9)
    assert {server.ask() for _ in range(5)} == {"2"}
    wait_for(lambda: server.count("tfchain_shadow_requests_total").get(("docs", "9", "failed")) == 5)
    assert json.loads((server.base_path / "shadow-9.jsonl").read_text().splitlines()[0])["error"] == "INVALID_ARGUMENT"


def test_copies_are_dropped_when_the_shadow_is_too_slow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(server.base_path, 2)
    start_shadow(server.base_path, 3, percent=100)
    server.poll(2, 3)
    release = threading.Event()
    run = Numbered.run

    def wait(self: Numbered, *arguments: Any) -> list:
        if self.version == 3:
            assert release.wait(10)
        return run(self, *arguments)

    monkeypatch.setattr(Numbered, "run", wait)
    for _ in range(80):
        assert server.ask() == "2"
    assert server.count("tfchain_shadow_requests_total")["docs", "3", "dropped"] >= 80 - 64 - 1
    release.set()


def test_a_server_that_does_not_follow_releases_serves_its_own_policy(tmp_path: Path) -> None:
    traffic = Traffic(Registry(), is_on=False)
    models = {"docs": ModelConfig("docs", tmp_path, Latest(2))}
    assert traffic.follow_models(models) is models
    servable = Numbered(1)
    assert traffic.watch(servable, "docs", 1) is servable
    assert Released(tmp_path, Latest(), traffic) == Released(tmp_path, Latest(), Traffic(Registry()))
