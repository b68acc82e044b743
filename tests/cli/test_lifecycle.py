"""`tfchain lifecycle` and `tfchain approve`: what they print, their exit codes, and where a cycle stands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tfchain.jobs.lifecycle import graph
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun

Act = Callable[[StepRun], Result]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose steps are cheap: what the rooms do is not the subject here."""

    def make_steps(plan: LifecyclePlan) -> list[Step]:
        acts: dict[str, Act] = {
            "trigger": lambda step: Result(stop=read(tmp_path, "trigger")),
            "train": lambda step: Result(facts={"loss": 0.5}),
            "gate": lambda step: Result(stop=read(tmp_path, "gate")),
            "promote": lambda step: Result(values={"live": 1}),
        }
        names = list(acts)
        return [
            Step(
                name=name,
                run=acts[name],
                needs=tuple(names[number - 1 : number] if number else ()),
                when="always",
                approve=name in plan.approve,
            )
            for number, name in enumerate(names)
        ]

    monkeypatch.setattr(graph, "make_steps", make_steps)
    (tmp_path / "pairs.jsonl").write_text('{"query": "a", "positive": "b"}\n')
    path = tmp_path / "life.yaml"
    path.write_text("base_path: versions\ntrain: {dataset: pairs.jsonl}\n")
    return path


def read(folder: Path, name: str) -> str | None:
    """Why a step stops the cycle; the tests write it."""
    path = folder / f"{name}.stop"
    return path.read_text() if path.exists() else None


def test_a_cycle_runs_and_its_steps_are_listed(run: Run, config: Path) -> None:
    result = run("lifecycle", config)

    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    for name in ("trigger", "train", "gate", "promote"):
        assert [name, "done"] in rows
    assert result.stdout.splitlines()[-1] == "cycle 1 has ended"


def test_json_is_one_object(run: Run, config: Path) -> None:
    values = json.loads(run("lifecycle", config, "--json").stdout)

    assert (values["cycle"], values["state"], values["stopped_by"]) == (1, "finished", None)
    assert [step["step"] for step in values["steps"]] == ["trigger", "train", "gate", "promote"]
    assert values["steps"][1]["result"]["facts"] == {"loss": 0.5}


def test_nothing_to_do_is_success_and_a_refused_version_is_not(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "trigger.stop").write_text("nothing asks for another training")
    result = run("lifecycle", config)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "cycle 1 has ended: trigger: nothing asks for another training"

    (tmp_path / "trigger.stop").unlink()
    (tmp_path / "gate.stop").write_text("The version is worse.")
    result = run("lifecycle", config)
    assert result.exit_code == 4
    assert result.stdout.splitlines()[-1] == "cycle 2 has ended: gate: The version is worse."


def test_a_step_waits_for_approval_and_goes_on_after_it(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + "promote: {approve: true}\n")
    waiting = run("lifecycle", config)
    assert waiting.exit_code == 3
    assert "promote waits for approval. Run `tfchain approve CONFIG promote`" in waiting.stdout

    check_error(
        run("approve", config, "gate"), "STEP must be a step that waits for approval. Received: gate. Waiting: promote."
    )
    approved = run("approve", config)
    assert approved.stdout == f"promote of cycle 1 is approved. Go on with `tfchain lifecycle {config}`.\n"
    assert run("lifecycle", config).exit_code == 0
    check_error(run("approve", config), "Received: None. Waiting: none.")


def test_a_refusal_ends_the_cycle_without_a_release(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + "promote: {approve: true}\n")
    run("lifecycle", config)
    run("approve", config, "--refuse", "--reason", "the holidays")

    result = run("lifecycle", config)

    assert result.exit_code == 4
    assert result.stdout.splitlines()[-1].endswith("refused promote: the holidays")


def test_steps_run_one_by_one_for_other_engines(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "gate.stop").write_text("The version is worse.")
    check_error(run("lifecycle", config, "--step", "gate"), "gate needs an open cycle")
    for name in ("trigger", "train", "gate", "promote"):
        result = run("lifecycle", config, "--step", name)
        assert result.exit_code == 0, result.stderr  # a decision is no failure of the task
    assert "cycle 1 has ended: gate: The version is worse." in result.stdout


def test_a_reached_limit_has_its_own_exit_code(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + "limits: {hours: 1e-12}\n")
    result = run("lifecycle", config)

    assert result.exit_code == 5
    assert result.stderr.startswith("limit: ")
    assert "Raise `limits` and run it again to go on" in result.stderr


def test_status_shows_every_cycle_and_changes_nothing(run: Run, config: Path, tmp_path: Path) -> None:
    assert run("lifecycle", "status", config).stdout == "no cycle has begun\n"
    assert not (tmp_path / "life-lifecycle").exists()
    run("lifecycle", config)
    (tmp_path / "pairs.jsonl").unlink()  # status needs no data

    lines = run("lifecycle", "status", config).stdout.splitlines()
    assert lines[0].startswith("cycle 1, begun ")
    assert lines[0].endswith(": done")
    assert ["train", "done"] in [line.split()[:2] for line in lines]
    assert json.loads(run("lifecycle", "status", config, "--json").stdout)["cycles"][0]["outcome"] == "done"


def test_the_graph_is_written_for_an_engine_and_nothing_is_replaced(run: Run, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "argo.yaml"
    options = ["--target", "argo", "--image", "tfchain:1", "--volume", "models", "--out", out]
    assert run("lifecycle", config, *options).stdout == f"{out}\n"
    workflow, _ = yaml.safe_load_all(out.read_text())
    assert next(task["name"] for task in workflow["spec"]["templates"][0]["dag"]["tasks"]) == "trigger"

    check_error(run("lifecycle", config, *options), "`--out` must be a new file.")
    assert run("lifecycle", config, *options, "--force").exit_code == 0
    printed = run("lifecycle", config, "--target", "cron", "--config-path", "/models/life.yaml").stdout
    assert "0 3 * * * tfchain lifecycle /models/life.yaml" in printed


def test_words_that_are_not_a_file_are_a_usage_error(run: Run, config: Path) -> None:
    for words in (["start", config], ["status"], ["status", config, config]):
        result = run("lifecycle", *words)
        assert result.exit_code == 2
        assert "Give CONFIG, or status CONFIG." in result.stderr


def test_a_missing_file_is_one_line(run: Run, tmp_path: Path) -> None:
    check_error(run("lifecycle", tmp_path / "no.yaml"), "No such file")
