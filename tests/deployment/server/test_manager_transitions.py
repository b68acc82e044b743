"""The manager's transitions: the order of loads, changed folders, and what happens to loads that fail or go on."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.server.test_manager import FakeServable, Loader, served, states, wait_for, want
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.versions import State


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def manager(loader: Loader) -> Iterator[Manager]:
    made = Manager(loader, max_retries=0, retry_seconds=0.01)
    yield made
    made.close(5.0)


def lent(manager: Manager, version: int | None = None) -> str:
    """The folder whose model answers."""
    with manager.lend(ModelSpec("m", version)) as lease:
        assert isinstance(lease.servable, FakeServable)
        return lease.servable.path.name


def test_with_one_thread_versions_load_one_by_one_the_highest_first(loader: Loader) -> None:
    manager = Manager(loader, num_load_threads=1)
    loader.held["9"] = threading.Event()
    want(manager, 1, 9, 5, 7)
    wait_for(lambda: loader.calls == ["9"])
    assert [state.name for state in states(manager).values()] == ["LOADING", "START", "START", "START"]
    loader.held["9"].set()
    wait_for(lambda: len(loader.made) == 4)
    assert loader.calls == ["9", "7", "5", "1"]
    manager.close(5)


def test_a_load_that_waits_for_its_next_attempt_holds_no_other_up(loader: Loader) -> None:
    manager = Manager(loader, max_retries=1, retry_seconds=60, num_load_threads=1)
    loader.failures["2"] = 1
    want(manager, 1, 2)
    wait_for(lambda: loader.calls == ["2", "1"] and states(manager)[1] is State.AVAILABLE)
    (status,) = manager.statuses("m", 2)
    assert (status.state, status.error) == (State.LOADING, None)
    manager.close(5)


def test_a_load_that_is_not_wanted_any_more_does_not_wait_for_its_next_attempt(loader: Loader) -> None:
    manager = Manager(loader, max_retries=5, retry_seconds=60)
    loader.failures["1"] = 9
    want(manager, 1)
    wait_for(lambda: loader.calls == ["1"])
    want(manager)
    wait_for(lambda: states(manager) == {1: State.END})
    assert str(manager.statuses("m", 1)[0].error) == "INVALID_ARGUMENT: 1 is broken"
    loader.failures["1"] = 0
    want(manager, 1)
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    manager.close(5)


def test_a_load_goes_on_from_another_folder_when_the_folder_changes(loader: Loader) -> None:
    manager = Manager(loader, max_retries=5, retry_seconds=60)
    loader.failures["bad"] = 9
    manager.set_wanted("m", {1: Path("bad")})
    wait_for(lambda: loader.calls == ["bad"])
    manager.set_wanted("m", {1: Path("good")})
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    assert (loader.calls, lent(manager)) == (["bad", "good"], "good")
    manager.close(5)


def test_what_was_loaded_from_a_folder_that_has_been_replaced_is_given_back(manager: Manager, loader: Loader) -> None:
    loader.held["old"] = threading.Event()
    manager.set_wanted("m", {1: Path("old")})
    wait_for(lambda: loader.calls == ["old"])
    manager.set_wanted("m", {1: Path("new")})
    loader.held["old"].set()
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    assert lent(manager) == "new"
    assert [servable.is_closed for servable in loader.made] == [True, False]


def test_a_failed_version_is_tried_again_from_another_folder(manager: Manager, loader: Loader) -> None:
    loader.failures["bad"] = 9
    manager.set_wanted("m", {1: Path("bad")})
    wait_for(lambda: states(manager) == {1: State.END})
    manager.set_wanted("m", {1: Path("bad")})
    manager.set_wanted("m", {1: Path("good")})
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    assert loader.calls == ["bad", "good"]


def test_a_version_answers_until_its_other_folder_is_loaded(
    manager: Manager, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    manager.set_wanted("m", {1: Path("old")})
    manager.wait_until_loaded(["m"], 5)
    loader.held["new"] = threading.Event()
    manager.set_wanted("m", {1: Path("new")})
    wait_for(lambda: loader.calls == ["old", "new"])
    manager.set_wanted("m", {1: Path("new")})
    assert states(manager) == {1: State.AVAILABLE}
    assert manager.is_available("m", 1)
    assert (lent(manager), lent(manager, 1)) == ("old", "old")
    loader.held["new"].set()
    wait_for(lambda: loader.made[0].is_closed)
    assert (lent(manager), lent(manager, 1)) == ("new", "new")
    assert states(manager) == {1: State.AVAILABLE}
    assert "m version 1 is loaded again, from new in place of old" in caplog.text


def test_a_folder_that_cannot_be_loaded_leaves_the_old_one_and_is_not_tried_again(
    manager: Manager, loader: Loader
) -> None:
    manager.set_wanted("m", {1: Path("old")})
    manager.wait_until_loaded(["m"], 5)
    loader.failures["bad"] = 9
    for _ in range(3):
        manager.set_wanted("m", {1: Path("bad")})
        wait_for(lambda: manager._records["m"][1].predecessor is None)
    assert loader.calls == ["old", "bad"]
    assert (states(manager), lent(manager)) == ({1: State.AVAILABLE}, "old")
    manager.set_wanted("m", {1: Path("old")})
    manager.set_wanted("m", {1: Path("bad")})  # not wanted in between: it may have been repaired
    wait_for(lambda: loader.calls == ["old", "bad", "bad"] and manager._records["m"][1].predecessor is None)
    manager.set_wanted("m", {1: Path("good")})
    wait_for(lambda: lent(manager) == "good")
    manager.set_wanted("m", {})
    wait_for(lambda: all(servable.is_closed for servable in loader.made))


@pytest.mark.parametrize("fails", [False, True])
def test_a_model_that_leaves_while_its_other_folder_loads_is_unloaded_at_once(
    manager: Manager, loader: Loader, fails: bool
) -> None:
    manager.set_wanted("m", {1: Path("old")})
    manager.wait_until_loaded(["m"], 5)
    loader.held["new"], loader.failures["new"] = threading.Event(), int(fails)
    manager.set_wanted("m", {1: Path("new")})
    wait_for(lambda: loader.calls == ["old", "new"])
    manager.set_wanted("m", {})
    wait_for(lambda: loader.made[0].is_closed)
    with pytest.raises(StatusError, match=r"Latest\(m\)"):
        manager.lend(ModelSpec("m"))
    loader.held["new"].set()
    wait_for(lambda: states(manager) == {1: State.END})
    assert all(servable.is_closed for servable in loader.made)


def test_a_manager_that_closes_while_another_folder_loads_unloads_both(loader: Loader) -> None:
    manager = Manager(loader, max_retries=0)
    manager.set_wanted("m", {1: Path("old")})
    manager.wait_until_loaded(["m"], 5)
    loader.held["new"] = threading.Event()
    manager.set_wanted("m", {1: Path("new")})
    wait_for(lambda: loader.calls == ["old", "new"])
    closer = threading.Thread(target=manager.close, args=(5.0,))
    closer.start()
    wait_for(lambda: loader.made[0].is_closed)
    loader.held["new"].set()
    closer.join(5)
    wait_for(lambda: len(loader.made) == 2 and loader.made[1].is_closed)


def test_of_several_old_versions_the_highest_alone_waits_for_the_new_one(manager: Manager, loader: Loader) -> None:
    want(manager, 1, 2, 3)
    wait_for(lambda: set(states(manager).values()) == {State.AVAILABLE})
    loader.held["9"] = threading.Event()
    want(manager, 9)
    wait_for(lambda: states(manager) == {9: State.LOADING, 3: State.AVAILABLE, 2: State.END, 1: State.END})
    assert served(manager) == 3
    loader.held["9"].set()
    wait_for(lambda: states(manager)[3] is State.END)


def test_a_version_wanted_again_while_it_is_unloaded_is_loaded_again_afterwards(
    manager: Manager, loader: Loader
) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    with manager.lend(ModelSpec("m")):
        want(manager)
        wait_for(lambda: states(manager) == {1: State.UNLOADING})
        want(manager, 1)
        assert states(manager) == {1: State.UNLOADING}
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
    assert loader.calls == ["1", "1"]


def test_a_version_wanted_again_while_it_is_unloaded_leaves_no_gap(manager: Manager) -> None:
    want(manager, 1)
    manager.wait_until_loaded(["m"], 5)
    with manager.lend(ModelSpec("m")):
        want(manager, 2)
        wait_for(lambda: states(manager) == {2: State.AVAILABLE, 1: State.UNLOADING})
        want(manager, 1)
        assert served(manager) == 2
    wait_for(lambda: states(manager) == {2: State.END, 1: State.AVAILABLE})


def test_the_wait_is_for_all_models_and_names_those_without_versions(manager: Manager, loader: Loader) -> None:
    loader.failures["bad"] = 1
    manager.set_wanted("bad", {1: Path("bad")})
    loader.held["slow"] = threading.Event()
    manager.set_wanted("slow", {1: Path("slow")})
    threading.Timer(0.05, loader.held["slow"].set).start()
    failures = manager.wait_until_loaded(["slow", "bad", "never"], 5)
    assert {name: [str(status.error) for status in statuses] for name, statuses in failures.items()} == {
        "bad": ["INVALID_ARGUMENT: bad is broken"],
        "never": [],
    }
    loader.held["late"] = threading.Event()
    manager.set_wanted("late", {1: Path("late")})
    with pytest.raises(StatusError, match=r"DEADLINE_EXCEEDED: The models late were not loaded in 0 s\."):
        manager.wait_until_loaded(["late"], 0.01)
    loader.held["late"].set()


def test_models_with_the_same_versions_are_apart(manager: Manager, loader: Loader) -> None:
    manager.set_wanted("m", {1: Path("of m")})
    manager.set_wanted("n", {1: Path("of n")})
    assert manager.wait_until_loaded(["m", "n"], 5) == {}
    manager.set_wanted("n", {})
    wait_for(lambda: not manager.is_available("n", 1))
    assert lent(manager) == "of m"


def test_only_so_many_versions_are_freed_at_the_same_time(loader: Loader) -> None:
    manager = Manager(loader, num_unload_threads=1)
    want(manager, 1, 2, 3)
    wait_for(lambda: set(states(manager).values()) == {State.AVAILABLE})
    release, together = threading.Event(), []

    def close(servable: FakeServable) -> None:
        together.append(servable)
        assert release.wait(5)
        assert len(together) == 1
        together.clear()
        servable.is_closed = True

    for servable in loader.made:
        servable.close = lambda servable=servable: close(servable)  # type: ignore[method-assign, misc]
    want(manager)
    wait_for(lambda: len(together) == 1)
    release.set()
    wait_for(lambda: set(states(manager).values()) == {State.END})
    manager.close(5)


def test_a_load_that_is_wanted_again_just_as_it_is_given_up_begins_anew(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True])
    monkeypatch.setattr(manager, "_is_cancelled", lambda _: next(answers, False))
    want(manager, 1)
    wait_for(lambda: states(manager) == {1: State.AVAILABLE})
