"""The supervisor, with workers that have no model."""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import ServerError
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Registry
from tfchain.deployment.server.metrics.snapshot import add_snapshot
from tfchain.deployment.server.workers import supervisor as module
from tfchain.deployment.server.workers.pauses import Pauses
from tfchain.deployment.server.workers.sockets import SharedPorts
from tfchain.deployment.server.workers.supervisor import Supervisor

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


class Group:
    """A supervisor in a thread, its workers' plans, and the files that the workers write."""

    def __init__(self, folder: Path, plans: dict[int, list[str]], **options: Any) -> None:
        self.folder = folder
        (folder / "plan.json").write_text(json.dumps(plans))
        self.complete: list[float] = []
        self.error: Exception | None = None
        self.supervisor = Supervisor(
            lambda fd: [sys.executable, "-S", str(FAKE_WORKER), str(fd), str(folder)],
            num_workers=len(plans),
            on_complete=lambda: self.complete.append(time.monotonic()),
            make_pauses=lambda: Pauses(0.01, 0.05),
            **options,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except Exception as error:
            self.error = error

    def read(self, name: str) -> Any:
        """What a worker has written, as soon as it has."""
        wait_for((self.folder / name).exists, name)
        return json.loads((self.folder / name).read_text())

    def kill(self, number: int, what: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.supervisor.pids[number], what)

    def ask(self, number: int, what: signal.Signals, question: int = 1) -> Any:
        """What a worker gets for its n-th question; before it listens to signals, they would end it."""
        self.read(f"listening-{number}-0")
        self.kill(number, what)
        return self.read(f"result-{number}-{question}")


def wait_for(condition: Callable[[], bool], what: str = "it") -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in 20 s"
        time.sleep(0.002)


@pytest.fixture
def start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Group]]:
    """Starts a group; the plans of workers 1, 2, … are texts with spaces between the starts."""
    caplog.set_level(logging.INFO)
    groups: list[Group] = []

    def start(*plans: str, is_complete: bool = True, **options: Any) -> Group:
        group = Group(tmp_path, {number: plan.split() for number, plan in enumerate(plans, 1)}, **options)
        groups.append(group)
        group.thread.start()
        if is_complete:
            wait_for(lambda: len(group.complete) == 1, "a complete start")
        return group

    yield start
    for group in groups:
        with contextlib.suppress(OSError):
            group.supervisor.stop()
        group.thread.join(20)
        assert not group.thread.is_alive()


def read_counts(snapshots: Any) -> dict[str, float]:
    total = Registry()
    for snapshot in snapshots:
        add_snapshot(total, snapshot)
    kinds = (Counter, Gauge)
    return {
        " ".join((metric.name, *labels)): cell.value
        for metric in total.metrics()
        if isinstance(metric, kinds)
        for labels, cell in metric.cells()
    }


def test_all_workers_are_told_of_the_complete_start_before_it_is_reported(start: Any) -> None:
    group = start("ready", "ready", settings={"mine": 5})
    assert {(group.folder / f"complete-{number}-0").exists() for number in (1, 2)} == {True}
    first = group.read("start-1-0")
    assert (first["mine"], first["is_complete"], first["config"]) == (5, False, None)
    assert {group.read(f"start-{number}-0")["pid"] for number in (1, 2)} == set(group.supervisor.pids.values())


def test_a_start_is_complete_only_when_all_workers_are_ready(start: Any) -> None:
    group = start("ready", "wait ready", is_complete=False)
    group.read("start-2-0")
    assert read_counts(group.ask(1, signal.SIGUSR1))["tfchain_workers_ready"] == 1
    assert not group.complete
    group.kill(2)
    wait_for(lambda: len(group.complete) == 1)


def test_a_killed_worker_is_started_again_and_said(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    group = start("ready", "ready")
    pid = group.supervisor.pids[1]
    group.kill(1)
    again = group.read("start-1-1")
    assert again["is_complete"]
    assert again["pid"] != pid
    assert f"worker 1 (process {pid}) was ended by SIGKILL" in caplog.text
    assert "worker 1 is started again in 0.0 s" in caplog.text
    assert not (group.folder / "start-2-1").exists()
    assert len(group.complete) == 1


def test_pauses_grow_from_death_to_death(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    group = start("ready fail:first exit:3 fail:third exit:4 ready", "ready")
    group.supervisor._pauses[1] = Pauses(0.1, 0.4)
    group.kill(1)
    group.read("start-1-5")
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "again" in line] == [
        f"worker 1 is started again in {seconds} s" for seconds in (0.1, 0.2, 0.4, 0.4, 0.4)
    ]
    ends = [line.partition(") ")[2] for line in lines if line.startswith("worker 1 (") and "ready" not in line]
    assert ends == [
        "was ended by SIGKILL",
        *("could not start: first", "has ended with exit code 3", "could not start: third"),
        "has ended with exit code 4",
    ]


def test_a_start_in_which_all_workers_fail_ends_with_the_last_error_and_no_second_try(start: Any) -> None:
    group = start("fail:no_such_folder", "fail:no_such_folder", is_complete=False)
    group.thread.join(20)
    assert isinstance(group.error, ServerError)
    assert str(group.error) == "no_such_folder"
    assert not list(group.folder.glob("start-*-1"))


def test_a_start_in_which_all_workers_die_says_how_the_last_did(start: Any) -> None:
    group = start("exit:7", is_complete=False)
    group.thread.join(20)
    assert isinstance(group.error, ServerError)
    assert str(group.error).startswith("No worker could start. The last, worker 1 (process ")
    assert str(group.error).endswith("), has ended with exit code 7.")


def test_a_worker_that_fails_in_the_start_is_started_again_once_another_is_ready(start: Any) -> None:
    group = start("fail:early ready", "ready")
    assert set(group.supervisor.pids) == {1, 2}
    assert group.read("start-1-1")["number"] == 1


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Supervisor(lambda fd: [str(tmp_path / "gone")], num_workers=1).run()


def test_stop_lets_the_workers_finish_and_starts_none_again(start: Any) -> None:
    stops: list[int] = []
    group = start("ready", "ready", on_stop=lambda: stops.append(1))
    group.supervisor.stop()
    group.supervisor.stop()
    group.thread.join(20)
    assert not group.thread.is_alive()
    assert group.error is None
    assert stops == [1]
    assert {path.name for path in group.folder.glob("finished-*")} == {"finished-1", "finished-2"}
    assert not list(group.folder.glob("start-*-1"))
    group.supervisor.stop()


def test_a_worker_that_does_not_finish_is_killed_in_the_end(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    group = start("stubborn", "ready", is_complete=False, stop_seconds=0.3)
    wait_for(lambda: caplog.text.count("is ready") == 2)
    group.supervisor.stop()
    group.thread.join(20)
    assert (group.thread.is_alive(), group.error) == (False, None)
    assert "has not ended in 0 s, and is killed" in caplog.text


def test_a_stop_while_all_workers_wait_to_be_started_again_ends_at_once(start: Any) -> None:
    group = start("ready fail:again")
    group.supervisor._pauses[1] = Pauses(60.0, 60.0)
    group.kill(1)
    wait_for(lambda: not group.supervisor.pids)
    group.supervisor.stop()
    group.thread.join(5)
    assert not group.thread.is_alive()


def test_counts_are_those_of_all_workers_and_of_processes_side_by_side(start: Any) -> None:
    group = start("ready", "ready", "ready")
    counts = read_counts(group.ask(2, signal.SIGUSR1))
    assert (counts["requests docs"], counts["queue docs"]) == (10 + 20 + 30, 3)
    assert {name for name in counts if name.startswith("process_id")} == {f"process_id {n}" for n in (1, 2, 3)}
    assert counts["process_threads supervisor"] >= 1
    assert (counts["tfchain_workers_ready"], counts["tfchain_worker_restarts_total"]) == (3, 0)


def test_no_counter_falls_when_a_worker_dies(start: Any) -> None:
    group = start("ready", "ready")
    assert read_counts(group.ask(2, signal.SIGUSR1))["requests docs"] == 30
    group.kill(1)
    group.read("start-1-1")
    counts = read_counts(group.ask(2, signal.SIGUSR1, 2))
    assert counts["requests docs"] in (30, 40)  # 10 of the former worker 1, 20, and 10 of the new one once it is ready
    assert counts["tfchain_worker_restarts_total"] == 1


def test_a_worker_that_is_told_to_end_leaves_its_last_counts(start: Any) -> None:
    group = start("ready wait", "ready")
    group.kill(1, signal.SIGTERM)
    group.read("start-1-1")
    counts = read_counts(group.ask(2, signal.SIGUSR1))
    assert (counts["requests docs"], counts["queue docs"]) == (1000 + 20, 1)


def test_a_worker_that_does_not_answer_counts_with_what_it_told_before(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNTS_SECONDS", 0.5)
    group = start("ready", "ready")
    assert read_counts(group.ask(2, signal.SIGUSR1))["requests docs"] == 30
    group.kill(1, signal.SIGSTOP)
    assert read_counts(group.ask(2, signal.SIGUSR1, 2))["requests docs"] == 30
    group.kill(1, signal.SIGKILL)


def test_a_reload_reaches_all_workers_and_later_ones_begin_with_it(start: Any) -> None:
    group = start("ready", "ready")
    found = group.ask(1, signal.SIGUSR2)
    assert sorted(found["asked"]) == [1, 2]
    assert {answer["code"] for answer in found["answers"].values()} == {0}
    for number in (1, 2):
        assert group.read(f"reload-{number}-0") == {"config": "a config", "seconds": None}
    group.kill(2)
    again = group.read("start-2-1")
    assert (again["config"], again["is_partial"]) == ("a config", False)


def test_a_reload_that_is_refused_is_not_kept(start: Any) -> None:
    group = start("refuse ready", "refuse")
    found = group.ask(2, signal.SIGUSR2)
    assert {answer["message"] for answer in found["answers"].values()} == {"no"}
    group.kill(1)
    assert group.read("start-1-1")["config"] is None


def test_a_worker_that_starts_during_a_reload_takes_it_up_and_is_not_waited_for(start: Any) -> None:
    group = start("ready", "ready wait")
    group.kill(2)
    group.read("start-2-1")
    assert group.ask(1, signal.SIGUSR2)["asked"] == [1]
    group.kill(1, signal.SIGUSR1)
    assert read_counts(group.read("result-1-2"))["tfchain_workers_ready"] == 1


def test_a_worker_that_dies_in_a_reload_is_not_waited_for(start: Any) -> None:
    group = start("ready", "silent", is_complete=False)
    wait_for(lambda: len(group.supervisor.pids) == 2)
    group.read("start-2-0")
    wait_for(lambda: len(list(group.supervisor._ready())) == 2)
    group.kill(1, signal.SIGUSR2)
    group.read("reload-1-0")
    group.kill(2)
    assert group.read("result-1-1")["answers"].keys() == {"1"}
    assert group.read("start-2-1")["config"] == "a config" or (group.folder / "reload-2-1").exists()


def ask_port(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        stream.sendall(b"?")
        return stream.recv(100).decode()


def test_connections_go_to_the_workers_that_live_and_wait_while_none_does(start: Any) -> None:
    with SharedPorts("127.0.0.1", 0, 0) as ports:
        assert ports.rest_port is not None
        options = {"settings": {"rest_fd": ports.rest_fd}, "pass_fds": [ports.rest_fd], "on_stop": ports.release}
        group = start("ready", "ready", **options)
        for number, other in ((1, 2), (2, 1)):
            group.supervisor._pauses[number] = Pauses(0.5, 0.5)
            group.kill(number)
            wait_for(lambda number=number: number not in group.supervisor.pids)  # type: ignore[misc]
            assert {ask_port(ports.rest_port) for _ in range(10)} == {f"worker {other}"}
            wait_for(lambda: len(list(group.supervisor._ready())) == 2)
        for number in (1, 2):
            group.supervisor._pauses[number] = Pauses(0.1, 0.1)
            group.kill(number)
        wait_for(lambda: not group.supervisor.pids)
        assert ask_port(ports.rest_port).startswith("worker ")
        group.supervisor.stop()
        group.thread.join(20)
        with pytest.raises(ConnectionRefusedError):
            ask_port(ports.rest_port)
