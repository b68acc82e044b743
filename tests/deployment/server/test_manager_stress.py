"""Random changes of what is wanted, while requests run: no gap, no leak, and the end is what was wanted last."""

import random
import threading
from pathlib import Path

import pytest

from tests.deployment.server.test_manager import FakeServable, wait_for
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.status import Code, StatusError

LAST = {1: Path("last 1"), 3: Path("last 3")}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_changes_leave_no_gap_and_nothing_behind(seed: int) -> None:
    chance = random.Random(seed)
    made: list[FakeServable] = []
    problems: list[str] = []
    is_done = threading.Event()

    def load(_: str, __: int, path: Path) -> FakeServable:
        is_done.wait(chance.random() * 0.002)
        if path.name == "bad" and chance.random() < 0.8:
            raise StatusError(Code.INTERNAL, "bad")
        made.append(FakeServable(path))
        return made[-1]

    def ask() -> None:
        while not is_done.wait(0.0005):
            try:
                with manager.lend(ModelSpec("m")) as lease:
                    is_done.wait(0.0005)
                    if lease.servable.is_closed:  # type: ignore[attr-defined]
                        problems.append("a lent version was closed")
            except StatusError as error:
                problems.append(str(error))

    manager = Manager(load, max_retries=1, retry_seconds=0.002, num_load_threads=2, num_unload_threads=1)
    manager.set_wanted("m", {1: Path("first")})
    assert manager.wait_until_loaded(["m"], 5) == {}
    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(60):
        versions = chance.sample(range(1, 5), chance.randint(1, 3))
        manager.set_wanted("m", {version: Path(chance.choice(["good", "other", "bad"])) for version in versions})
        is_done.wait(chance.random() * 0.003)
    manager.set_wanted("m", LAST)
    wait_for(lambda: {servable.path for servable in made if not servable.is_closed} == set(LAST.values()))
    is_done.set()
    thread.join(5)
    manager.close(5)
    assert problems == []
    assert all(servable.is_closed for servable in made)
