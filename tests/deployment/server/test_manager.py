"""The manager of versions, with servables that load when the test lets them."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.versions import State


class FakeServable:
    """Knows only whether it is closed."""

    signatures: dict[str, Any] = {}  # noqa: RUF012
    signature_defs: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_closed = False

    def run(self, *_: Any) -> list[Any]:
        return []

    def close(self) -> None:
        self.is_closed = True


class Loader:
    """Loads at once, unless the path is held back or broken."""

    def __init__(self) -> None:
        self.held: dict[str, threading.Event] = {}
        self.failures: dict[str, int] = {}
        self.calls: list[str] = []
        self.made: list[FakeServable] = []

    def __call__(self, name: str, version: int, path: Path) -> FakeServable:
        self.calls.append(path.name)
        if path.name in self.held:
            assert self.held[path.name].wait(10)
        if self.failures.get(path.name, 0) > 0:
            self.failures[path.name] -= 1
            raise StatusError(Code.INVALID_ARGUMENT, f"{path.name} is broken")
        self.made.append(FakeServable(path))
        return self.made[-1]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def manager(loader: Loader) -> Iterator[Manager]:
    made = Manager(loader, max_retries=0, retry_seconds=0.01)
    yield made
    made.close(5.0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in 5 s"
        time.sleep(0.002)


def states(manager: Manager) -> dict[int, State]:
    return {status.version: status.state for status in manager.statuses("m")}


def want(manager: Manager, *versions: int) -> None:
    manager.set_wanted("m", {version: Path(str(version)) for version in versions})


def served(manager: Manager) -> int:
    with manager.lend(ModelSpec("m")) as lease:
        return lease.version


def test_the_highest_available_version_is_the_latest(manager: Manager) -> None:
    want(manager, 1, 3, 2)
    wait_for(lambda: set(states(manager).values()) == {State.AVAILABLE})
    assert list(states(manager)) == [3, 2, 1]
    assert served(manager) == 3
    with manager.lend(ModelSpec("m", 2)) as lease:
        assert lease.version == 2


def test_the_old_version_serves_until_the_new_one_is_there(manager: Manager, loader: Loader) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    loader.held["2"] = threading.Event()
    want(manager, 2)
    wait_for(lambda: states(manager)[2] is State.LOADING)
    assert states(manager)[1] is State.AVAILABLE
    assert served(manager) == 1
    loader.held["2"].set()
    wait_for(lambda: states(manager) == {2: State.AVAILABLE, 1: State.END})
    assert served(manager) == 2


def test_a_failed_load_leaves_the_old_version_and_is_not_tried_again(manager: Manager, loader: Loader) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    loader.failures["2"] = 9
    want(manager, 2)
    wait_for(lambda: states(manager)[2] is State.END)
    want(manager, 2)
    want(manager, 2)
    assert served(manager) == 1
    assert loader.calls == ["1", "2"]
    status = manager.statuses("m", 2)[0]
    assert str(status.error) == "INVALID_ARGUMENT: 2 is broken"
    want(manager, 1)  # unwanted in between: it may be tried again
    loader.failures["2"] = 0
    want(manager, 2)
    wait_for(lambda: states(manager) == {2: State.AVAILABLE, 1: State.END})


def test_a_failed_load_is_tried_again_as_often_as_asked(loader: Loader) -> None:
    manager = Manager(loader, max_retries=2, retry_seconds=0.001)
    loader.failures["1"] = 2
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    assert loader.calls == ["1", "1", "1"]
    manager.close(5)


def test_waiting_ends_with_the_loads_error(manager: Manager, loader: Loader) -> None:
    loader.failures["7"] = 1
    want(manager, 7)
    failures = manager.wait_until_loaded(["m"], 5)
    assert [(status.version, str(status.error)) for status in failures["m"]] == [(7, "INVALID_ARGUMENT: 7 is broken")]


class ShortWaits(threading.Condition):
    """A condition whose waits end at once, whatever they were to wait for, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        found = super().wait(0.001)
        self.ended.release()
        return found


def test_a_lent_version_is_not_unloaded_however_long_the_request_runs(manager: Manager) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    waits = ShortWaits()

    def check_is_waited_for() -> None:
        for _ in range(3):
            assert waits.ended.acquire(timeout=5), "it waits no more for the request that runs"
        assert not servable.is_closed

    with manager.lend(ModelSpec("m")) as lease:
        servable = lease.servable
        with manager.lend(ModelSpec("m")):
            manager._changed = waits
            want(manager, 2)
            wait_for(lambda: states(manager) == {2: State.AVAILABLE, 1: State.UNLOADING})
            assert served(manager) == 2
            check_is_waited_for()
        check_is_waited_for()
    wait_for(lambda: states(manager)[1] is State.END)
    assert servable.is_closed


def test_a_load_that_ends_while_the_manager_closes_is_unloaded(loader: Loader) -> None:
    manager = Manager(loader, max_retries=0)
    loader.held["1"] = threading.Event()
    want(manager, 1)
    wait_for(lambda: loader.calls == ["1"])
    closer = threading.Thread(target=manager.close, args=(5.0,))
    closer.start()
    assert manager._closing.wait(5)
    loader.held["1"].set()
    wait_for(lambda: states(manager) == {1: State.END})
    closer.join(5)
    assert [servable.is_closed for servable in loader.made] == [True]


def test_a_failed_load_that_is_not_wanted_any_more_is_not_tried_again(loader: Loader) -> None:
    manager = Manager(loader, max_retries=5, retry_seconds=0.001)
    loader.held["1"], loader.failures["1"] = threading.Event(), 9
    want(manager, 1)
    wait_for(lambda: loader.calls == ["1"])
    want(manager)
    loader.held["1"].set()
    wait_for(lambda: states(manager) == {1: State.END})
    assert loader.calls == ["1"]
    manager.close(5)


def test_a_model_without_wanted_versions_is_unloaded(manager: Manager) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    want(manager)
    wait_for(lambda: states(manager) == {1: State.END})
    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(m\)"):
        manager.lend(ModelSpec("m"))


def test_a_version_that_comes_back_is_loaded_again(manager: Manager, loader: Loader) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    want(manager)
    wait_for(lambda: states(manager) == {1: State.END})
    want(manager, 1)
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    assert loader.calls == ["1", "1"]


def test_what_is_not_there_is_named(manager: Manager) -> None:
    for spec, error in (
        (ModelSpec("m"), "NOT_FOUND: Servable not found for request: Latest(m)"),
        (ModelSpec("m", 4), "NOT_FOUND: Servable not found for request: Specific(m, 4)"),
        (ModelSpec("m", label="x"), "INVALID_ARGUMENT: Unrecognized servable version label: x"),
    ):
        with pytest.raises(StatusError) as caught:
            manager.lend(spec)
        assert str(caught.value) == error
    with pytest.raises(StatusError, match="Could not find any versions of model m"):
        manager.statuses("m")


def test_closing_unloads_all_and_takes_nothing_more(loader: Loader) -> None:
    manager = Manager(loader)
    want(manager, 1, 2)
    manager.wait_until_loaded(["m"], 5)
    wait_for(lambda: set(states(manager).values()) == {State.AVAILABLE})
    manager.close(5)
    assert states(manager) == {2: State.END, 1: State.END}
    want(manager, 3)
    assert list(states(manager)) == [2, 1]


def test_a_loaders_surprise_is_an_error_of_the_version(caplog: pytest.LogCaptureFixture) -> None:
    def load(*_: object) -> FakeServable:
        raise ZeroDivisionError("oh")

    manager = Manager(load, max_retries=0)
    want(manager, 1)
    wait_for(lambda: states(manager) == {1: State.END})
    assert str(manager.statuses("m")[0].error) == "UNKNOWN: ZeroDivisionError: oh"
    manager.close(1)


@pytest.mark.parametrize("work", ["load", "unload"])
def test_what_finds_no_thread_begins_at_the_next_poll(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(work):
            raise RuntimeError("can't start new thread")
        start(thread)

    def set_wanted(*versions: int) -> None:
        manager.set_wanted("m", {version: tmp_path / str(version) for version in versions})

    set_wanted(1)
    assert manager.wait_until_loaded(["m"], 5) == {}
    monkeypatch.setattr(threading.Thread, "start", refuse)
    set_wanted(2)
    if work == "unload":
        deadline = time.monotonic() + 5
        while not manager.is_available("m", 2):
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert manager.is_available("m", 1)
    monkeypatch.undo()
    set_wanted(2)
    deadline = time.monotonic() + 5
    while [(status.version, status.state.name) for status in manager.statuses("m")] != [(2, "AVAILABLE"), (1, "END")]:
        assert time.monotonic() < deadline, manager.statuses("m")
        time.sleep(0.005)


def test_a_version_that_cannot_be_freed_ends_all_the_same(
    manager: Manager, loader: Loader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("busy")

    manager.set_wanted("m", {1: tmp_path / "1"})
    assert manager.wait_until_loaded(["m"], 5) == {}
    loader.made[0].close = fail  # type: ignore[method-assign]
    for versions, state in (({}, "END"), ({1: tmp_path / "1"}, "AVAILABLE")):
        manager.set_wanted("m", versions)
        deadline = time.monotonic() + 5
        while manager.statuses("m")[0].state.name != state:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert "m version 1 could not be freed" in caplog.text


def test_a_label_that_moves_while_it_is_asked_for_finds_its_new_version(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.set_wanted("m", {2: Path("2")})
    manager.wait_until_loaded(["m"], 10)
    found = iter([1, 2, 2])  # version 1 is unloaded between the look at the label and the look for the version
    monkeypatch.setattr(manager.labels, "find", lambda *_: next(found))
    with manager.lend(ModelSpec("m", label="stable")) as lease:
        assert lease.version == 2
    monkeypatch.setattr(manager.labels, "find", lambda *_: 1)
    with pytest.raises(StatusError, match=r"Specific\(m, 1\)"):
        manager.lend(ModelSpec("m", label="stable"))
