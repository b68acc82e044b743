"""The engine: order, what is skipped, what stops a cycle, approvals, limits, and one run at a time."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError, TfchainError
from tfchain.jobs.lifecycle.engine import LifeCycle
from tfchain.jobs.lifecycle.limits import LimitReached, Limits
from tfchain.jobs.lifecycle.state import StateFolder
from tfchain.jobs.lifecycle.step import Result, Step, StepFailure, StepRun, order_steps


class Plant:
    """Makes steps that note down that they ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []

    def step(self, name: str, *needs: str, act: Callable[[StepRun], Result] | None = None, **options: Any) -> Step:
        def run(step: StepRun) -> Result:
            self.ran.append(name)
            if act is not None:
                return act(step)
            path = step.folder / "made.txt"
            path.write_text(f"{name} {dict(step.settings)}")
            return Result(paths={"made": path})

        return Step(name=name, run=run, needs=needs, **options)

    def cycle(self, *steps: Step, **options: Any) -> LifeCycle:
        self.ran.clear()
        return LifeCycle(steps, self.folder / "state", **options)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_steps_run_after_those_that_they_need(plant: Plant) -> None:
    outcome = plant.cycle(plant.step("c", "a", "b"), plant.step("b", "a"), plant.step("a")).run()

    assert plant.ran == ["a", "b", "c"]
    assert (outcome.cycle, outcome.state, outcome.stopped_by) == (1, "finished", None)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"a": ["b"], "b": ["a"]}, "Steps must not need each other in a circle. Received: a, b."),
        ({"a": ["d"]}, "`needs` must name steps of the life cycle. Received: d, which a needs. There are: a."),
    ],
)
def test_steps_that_are_not_a_graph_are_an_error(needs: dict[str, list[str]], message: str, plant: Plant) -> None:
    with pytest.raises(InputError, match=message):
        order_steps([plant.step(name, *names) for name, names in needs.items()])


def test_two_steps_of_a_name_are_an_error(plant: Plant) -> None:
    with pytest.raises(InputError, match="different names. Received: a twice"):
        order_steps([plant.step("a"), plant.step("a")])


def test_a_second_cycle_runs_only_what_has_changed(plant: Plant, tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("old")

    def steps(rate: float, version: int = 1) -> tuple[Step, ...]:
        def read(step: StepRun) -> Result:
            return Result(values={"first": step.inputs["data"].read_text()[:2]})

        return (
            plant.step("read", act=read, inputs={"data": data}),
            plant.step("train", "read", settings={"rate": rate}),
            plant.step("weigh", "train", version=version),
        )

    plant.cycle(*steps(0.1)).run()
    plant.cycle(*steps(0.1)).run()
    assert plant.ran == []

    data.write_text("older")  # read makes the same of it, so the steps after it need not run
    plant.cycle(*steps(0.1)).run()
    assert plant.ran == ["read"]

    plant.cycle(*steps(0.2)).run()
    assert plant.ran == ["train", "weigh"]

    outcome = plant.cycle(*steps(0.2, version=2)).run()
    assert plant.ran == ["weigh"]
    assert {name: (record.status, record.made_in) for name, record in outcome.records.items()} == {
        "read": ("unchanged", 3),
        "train": ("unchanged", 4),
        "weigh": ("done", 5),
    }


def test_a_step_whose_files_have_gone_runs_again(plant: Plant) -> None:
    steps = (plant.step("a"), plant.step("b", "a"))
    first = plant.cycle(*steps).run()
    assert first.records["a"].result is not None
    first.records["a"].result.paths["made"].unlink()

    plant.cycle(*steps).run()

    assert plant.ran == ["a"]  # it made the same again


def test_a_stop_passes_over_what_follows_except_the_last_step(plant: Plant) -> None:
    steps = (
        plant.step("trigger", act=lambda step: Result(stop="nothing is new"), when="always"),
        plant.step("train", "trigger"),
        plant.step("promote", "train"),
        plant.step("report", "promote", when="last", act=lambda step: Result(facts={"saw": sorted(step.results)})),
    )
    outcome = plant.cycle(*steps).run()

    assert plant.ran == ["trigger", "report"]
    assert (outcome.state, outcome.stopped_by, outcome.reason) == ("finished", "trigger", "nothing is new")
    assert outcome.records["promote"].status == "passed"
    assert outcome.records["promote"].reason == "trigger: nothing is new"
    assert outcome.records["report"].result is not None
    assert outcome.records["report"].result.facts == {"saw": ["trigger"]}


def test_a_failed_step_is_tried_again_and_what_came_before_is_kept(plant: Plant) -> None:
    attempts: list[int] = []

    def act(step: StepRun) -> Result:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("the disk is on fire")
        return Result()

    steps = (plant.step("a"), plant.step("b", "a", act=act))
    with pytest.raises(StepFailure, match="The step b failed: RuntimeError: the disk is on fire"):
        plant.cycle(*steps).run()
    record = StateFolder(plant.folder / "state").read_record(1, "b")
    assert record is not None
    assert (record.status, record.reason) == ("failed", "RuntimeError: the disk is on fire")

    outcome = plant.cycle(*steps).run()

    assert plant.ran == ["b"]
    assert (outcome.cycle, outcome.records["b"].attempts) == (1, 2)


def test_settings_that_change_within_a_cycle_run_the_step_again(plant: Plant) -> None:
    def fail(step: StepRun) -> Result:
        raise InputError("no")

    with pytest.raises(InputError):
        plant.cycle(plant.step("a", settings={"x": 1}), plant.step("b", "a", act=fail)).run()

    plant.cycle(plant.step("a", settings={"x": 2}), plant.step("b", "a")).run()

    assert plant.ran == ["a", "b"]


def test_restart_gives_the_open_cycle_up(plant: Plant) -> None:
    def fail(step: StepRun) -> Result:
        raise InputError("no")

    with pytest.raises(InputError):
        plant.cycle(plant.step("a", act=fail)).run()

    assert plant.cycle(plant.step("a")).run(restart=True).cycle == 2
    assert StateFolder(plant.folder / "state").read_cycle(1)["outcome"] == "given up"


def test_an_approval_is_waited_for_and_holds_for_what_was_approved_alone(plant: Plant) -> None:
    def steps(rate: float) -> tuple[Step, ...]:
        return plant.step("train", settings={"rate": rate}), plant.step("promote", "train", approve=True)

    life_cycle = plant.cycle(*steps(0.1))
    outcome = life_cycle.run()
    assert (outcome.state, plant.ran) == ("waiting", ["train"])
    assert "tfchain approve CONFIG promote" in outcome.reason

    (waiting,) = life_cycle.waiting()
    life_cycle.state.answer(waiting, approve=True)
    assert plant.cycle(*steps(0.2)).run().state == "waiting"  # another model than the one approved

    assert plant.cycle(*steps(0.1)).run().state == "finished"
    assert plant.ran == ["train", "promote"]  # the first of which another rate had replaced


def test_a_refusal_stops_the_cycle_and_the_next_one_asks_again(plant: Plant) -> None:
    steps = (plant.step("promote", approve=True), plant.step("after", "promote"))
    life_cycle = plant.cycle(*steps)
    life_cycle.run()
    life_cycle.state.answer(life_cycle.waiting()[0], approve=False, reason="too slow")

    outcome = life_cycle.run()

    assert (outcome.state, outcome.stopped_by, plant.ran) == ("finished", "promote", [])
    assert outcome.reason.endswith("refused promote: too slow")
    assert life_cycle.run().state == "waiting"


def test_a_refused_step_leaves_no_result_and_what_was_made_before_it_stays_the_last(plant: Plant) -> None:
    def steps(rate: float) -> tuple[Step, ...]:
        return (plant.step("train", settings={"rate": rate}, approve=True),)

    life_cycle = plant.cycle(*steps(0.1))
    life_cycle.run()
    life_cycle.state.answer(life_cycle.waiting()[0], approve=False)
    life_cycle.run()
    assert life_cycle.state.last_result("train", before=2) is None

    life_cycle.run()
    life_cycle.state.answer(life_cycle.waiting()[0], approve=True)
    life_cycle.run()
    changed = plant.cycle(*steps(0.2))
    changed.run()
    changed.state.answer(changed.waiting()[0], approve=False)
    changed.run()

    assert plant.cycle(*steps(0.1)).run().records["train"].status == "unchanged"
    assert plant.ran == []


def test_a_person_without_a_name_on_the_machine_may_approve(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", fail)
    life_cycle = plant.cycle(plant.step("promote", approve=True))
    life_cycle.run()
    life_cycle.state.answer(life_cycle.waiting()[0], approve=True)
    assert life_cycle.run().state == "finished"


def test_one_step_alone_needs_those_before_it(plant: Plant) -> None:
    life_cycle = plant.cycle(plant.step("a"), plant.step("b", "a"))
    with pytest.raises(StepFailure, match="b needs an open cycle. Received: none is open. Begin one with: a."):
        life_cycle.run_step("b")
    assert life_cycle.run_step("a").state == "open"
    assert life_cycle.run_step("b").state == "finished"
    assert life_cycle.run_step("a").cycle == 2

    with pytest.raises(InputError, match="There is no step of that name. Received: c. There are: a, b."):
        life_cycle.run_step("c")


def test_one_step_alone_does_not_run_before_its_needs_have_ended(plant: Plant) -> None:
    life_cycle = plant.cycle(plant.step("a"), plant.step("b", "a"), plant.step("c", "b"))
    life_cycle.run_step("a")

    with pytest.raises(StepFailure, match="c needs that b has ended. Received: b is not begun in cycle 1."):
        life_cycle.run_step("c")


def test_a_limit_stops_a_step_while_it_runs_and_counts_what_earlier_runs_used(plant: Plant) -> None:
    def work(step: StepRun) -> Result:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            pass
        return Result()

    limits = Limits(hours=0.05 / 3600, cost=1.0, price_per_core_hour=3600.0, cores=1)
    life_cycle = plant.cycle(plant.step("a", act=work), limits=limits)
    with pytest.raises(LimitReached, match="a was stopped. The cycle may use 1.38889e-05 hours and 1 in money"):
        life_cycle.run()
    record = StateFolder(plant.folder / "state").read_record(1, "a")
    assert record is not None
    assert record.status == "limit"
    assert record.cost == pytest.approx(record.seconds)  # one unit a second

    with pytest.raises(LimitReached, match="The cycle may use"):
        life_cycle.run()
    assert plant.ran == ["a"]  # nothing is left to begin it again

    assert plant.cycle(plant.step("a")).run().state == "finished"


def test_a_second_run_is_refused_while_one_is_working(plant: Plant) -> None:
    def act(step: StepRun) -> Result:
        other = LifeCycle([plant.step("a")], plant.folder / "state")
        with pytest.raises(TfchainError, match="Another run of this life cycle is working in .*state"):
            other.run()
        return Result()

    assert plant.cycle(plant.step("a", act=act)).run().state == "finished"


def test_the_lock_of_a_killed_run_is_free(plant: Plant) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tfchain.jobs.lifecycle.state import StateFolder\n"
        "with StateFolder(Path(sys.argv[1])).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(plant.folder / "state")], timeout=60, check=False)
    assert killed.returncode == -9

    assert plant.cycle(plant.step("a")).run().state == "finished"


def test_old_work_is_deleted_but_what_is_pinned_stays(plant: Plant) -> None:
    def run(rate: int) -> Path:
        outcome = plant.cycle(plant.step("a", settings={"rate": rate}), keep_cycles=2).run()
        assert outcome.records["a"].result is not None
        return outcome.records["a"].result.paths["made"]

    first = run(1)
    StateFolder(plant.folder / "state").pin("live", [first])
    made = [first, *(run(rate) for rate in range(2, 5))]

    assert [path.exists() for path in made] == [True, False, True, True]


def test_what_a_killed_write_left_is_no_record(plant: Plant) -> None:
    life_cycle = plant.cycle(plant.step("a"), plant.step("b", "a"))
    life_cycle.run_step("a")
    left = plant.folder / "state" / "cycles" / "000001" / ".partial-x1-a.json"
    left.write_text("{")

    assert set(life_cycle.state.read_records(1)) == {"a"}
    assert life_cycle.run().state == "finished"
    assert not left.exists()


def test_a_damaged_record_is_named(plant: Plant) -> None:
    steps = (plant.step("a"), plant.step("b", "a"))
    life_cycle = plant.cycle(*steps)
    life_cycle.run_step("a")
    path = plant.folder / "state" / "cycles" / "000001" / "a.json"
    path.write_text(json.dumps({"step": "a", "cycle": 1, "status": "lost"}))
    with pytest.raises(InputError, match="a.json is not the record of a step: status 'lost'"):
        life_cycle.run()
    path.write_text("{")
    with pytest.raises(InputError, match="a.json is damaged"):
        life_cycle.run()
