import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.releases.versions import make_version
from tfchain.core.errors import InputError
from tfchain.deployment.release_state import RELEASES, find_live, find_taken_back, read_state
from tfchain.deployment.releases.switch import (
    list_releases,
    promote,
    prune,
    rollback,
    start_canary,
    start_shadow,
    stop_shadow,
)


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make_version(tmp_path / "docs", number)
    return tmp_path / "docs"


def test_without_a_promotion_the_highest_version_is_live(base_path: Path) -> None:
    assert find_live(base_path) == 3
    assert read_state(base_path).served == frozenset()


def test_a_promoted_version_stays_live_when_others_are_exported(base_path: Path) -> None:
    promote(base_path, 2)
    assert find_live(base_path) == 2
    assert read_state(base_path).previous == (3,)


def test_a_canary_is_promoted_without_naming_it(base_path: Path) -> None:
    state = start_canary(base_path, 3, percent=25)
    assert (state.live, state.canary, state.canary_percent) == (2, 3, 25.0)
    assert state.served == {2, 3}
    state = promote(base_path, reason="quiet for an hour")
    assert (state.live, state.canary, state.previous) == (3, None, (2,))
    assert [(event.action, event.version) for event in state.history] == [("canary", 3), ("promote", 3)]
    assert state.history[-1].reason == "quiet for an hour"


def test_a_rollback_takes_the_canary_away_and_without_one_goes_back(base_path: Path) -> None:
    promote(base_path, 1)
    promote(base_path, 2)
    start_canary(base_path, 3)
    assert (rollback(base_path, reason="errors").live, read_state(base_path).canary) == (2, None)
    assert rollback(base_path).live == 1
    assert read_state(base_path).previous == (3,)
    assert rollback(base_path, 2).live == 2
    promote(base_path, 1)
    (base_path / "2" / "saved_model.pb").unlink()
    with pytest.raises(InputError, match="Version 2 must be a SavedModel"):
        rollback(base_path)
    assert find_live(base_path) == 1


def test_promoting_the_live_version_again_changes_nothing(base_path: Path) -> None:
    promote(base_path, 2)
    before = (base_path / RELEASES).read_bytes()
    promote(base_path, 2)
    assert (base_path / RELEASES).read_bytes() == before


def test_a_version_without_a_blessing_is_not_promoted(base_path: Path) -> None:
    make_version(base_path, 4, outcome=None)
    make_version(base_path, 5, outcome="failed")
    with pytest.raises(InputError, match="Version 4 has no report of the gate. .* Run `tfchain release"):
        promote(base_path, 4)
    with pytest.raises(InputError, match="The gate refused version 5: ndcg@10 fell <a lot>."):
        start_canary(base_path, 5)
    (base_path / "3" / "variables" / "variables.index").write_bytes(b"other weights")
    with pytest.raises(InputError, match="The files of version 3 have changed since the gate let it through"):
        promote(base_path, 3)
    assert not (base_path / RELEASES).exists()
    assert promote(base_path, 4, needs_blessing=False).live == 4


def test_what_is_not_there_is_a_clear_error(base_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a version of .*docs. Received: version=9. There are: 1, 2, 3."):
        promote(base_path, 9)
    with pytest.raises(InputError, match="There is no canary in"):
        promote(base_path)
    with pytest.raises(InputError, match="No version of .* was live before the present one"):
        rollback(base_path)
    with pytest.raises(InputError, match="A base path must be a folder of version folders"):
        promote(tmp_path / "nowhere", 1)
    with pytest.raises(InputError, match="`percent` must be above 0 and below 100. Received: percent=100"):
        start_canary(base_path, 3, percent=100)
    promote(base_path, 3)
    with pytest.raises(InputError, match="must stand beside another version that is live. .* it is the live one"):
        start_canary(base_path, 3)


def test_a_damaged_state_is_a_clear_error_and_stays(base_path: Path) -> None:
    for text in ("{", "[]", '{"live": "3", "previous": [], "history": []}', '{"live": 3}'):
        (base_path / RELEASES).write_text(text)
        with pytest.raises(InputError, match=r"releases.json must be what `tfchain promote` wrote"):
            promote(base_path, 2)
        assert (base_path / RELEASES).read_text() == text


def test_pruning_keeps_what_serves_and_the_last_ones_before_it(base_path: Path) -> None:
    for number in (4, 5, 6):
        make_version(base_path, number)
    promote(base_path, 1)
    promote(base_path, 3)
    promote(base_path, 5)
    start_shadow(base_path, 2)
    assert prune(base_path, keep=1) == [1, 4]
    assert sorted(path.name for path in base_path.iterdir() if path.name.isdigit()) == ["2", "3", "5", "6"]
    assert read_state(base_path).previous == (3, 6)
    assert prune(base_path, keep=1) == []
    with pytest.raises(InputError, match="`keep` must be a whole number of 0 or more. Received: keep=-1"):
        prune(base_path, keep=-1)


def test_a_shadow_ends_when_it_is_stopped_or_promoted(base_path: Path) -> None:
    assert start_shadow(base_path, 3, percent=100).shadow_percent == 100
    assert stop_shadow(base_path).shadow is None
    start_shadow(base_path, 3)
    assert promote(base_path, 3).shadow is None


def test_a_version_that_becomes_live_by_a_rollback_is_no_shadow(base_path: Path) -> None:
    promote(base_path, 3, needs_blessing=False)
    start_shadow(base_path, 2, percent=50)
    state = rollback(base_path, 2)
    assert (state.live, state.shadow, state.shadow_percent) == (2, None, 0.0)


def test_the_list_says_who_is_live_and_what_the_gate_said(base_path: Path) -> None:
    make_version(base_path, 4, outcome="failed")
    promote(base_path, 1)
    start_canary(base_path, 2, percent=5)
    (base_path / "3" / "saved_model.pb").write_bytes(b"changed")
    assert {item["is_current"] for item in list_releases(base_path)} == {None}
    listed = {item["version"]: item for item in list_releases(base_path, verify=True)}
    assert list(listed) == [4, 3, 2, 1]
    assert [listed[number]["role"] for number in (1, 2, 3, 4)] == ["live", "canary", "", "previous"]
    assert (listed[1]["percent"], listed[2]["percent"]) == (95, 5)
    assert [listed[number]["passed"] for number in (1, 4)] == [True, False]
    assert [listed[number]["is_current"] for number in (2, 3)] == [True, False]


KILLED = """
import os, signal, sys
from tfchain.core import atomic
from tfchain.deployment.releases import switch

def die(*_): os.kill(os.getpid(), signal.SIGKILL)
setattr(atomic, sys.argv[2], die) if sys.argv[2] != "replace" else setattr(atomic.Path, "replace", die)
switch.promote(sys.argv[1], 2)
"""


@pytest.mark.parametrize(("place", "live"), [("replace", 1), ("sync_folder", 2)])
def test_a_killed_promotion_leaves_the_old_state_or_the_new_one(base_path: Path, place: str, live: int) -> None:
    promote(base_path, 1)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(base_path), place], env=os.environ, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert find_live(base_path) == live
    json.loads((base_path / RELEASES).read_text())
    assert promote(base_path, 3).live == 3  # the lock has ended with the process


def test_what_was_taken_back_is_known_until_it_is_put_up_again(base_path: Path) -> None:
    def taken_back() -> dict[int, str]:
        return {version: event.reason for version, event in find_taken_back(read_state(base_path)).items()}

    promote(base_path, 1)
    start_canary(base_path, 2)
    rollback(base_path, reason="slow")
    assert taken_back() == {2: "slow"}
    promote(base_path, 3)
    rollback(base_path, reason="wrong")  # back to 1
    assert taken_back() == {2: "slow", 3: "wrong"}
    start_canary(base_path, 2)
    assert taken_back() == {3: "wrong"}
    promote(base_path)
    rollback(base_path, 3, reason="not so wrong")
    assert taken_back() == {2: "not so wrong"}
