"""The steps' own decisions, on small values; `tests/examples/test_lifecycle_example.py` runs them with a real model."""

import dataclasses
import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.switch import promote, rollback, start_canary
from tfchain.jobs.lifecycle.config import read_lifecycle
from tfchain.jobs.lifecycle.engine import is_current
from tfchain.jobs.lifecycle.graph import make_steps
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.record import Record
from tfchain.jobs.lifecycle.state import StateFolder
from tfchain.jobs.lifecycle.step import Result, StepFailure, StepRun
from tfchain.jobs.lifecycle.steps.chains import LiveModel, read_live, write_live
from tfchain.jobs.lifecycle.steps.evaluation import find_known, find_lower, run_evaluate
from tfchain.jobs.lifecycle.steps.exporting import find_written, keep_live
from tfchain.jobs.lifecycle.steps.feedback import count_lines, make_labelled
from tfchain.jobs.lifecycle.steps.preparation import run_prepare
from tfchain.jobs.lifecycle.steps.releasing import run_gate, run_promote
from tfchain.jobs.lifecycle.steps.reporting import describe_outcome, make_page
from tfchain.jobs.lifecycle.steps.training import join_datasets, make_options, run_training
from tfchain.jobs.lifecycle.steps.trial import run_canary, seconds_left
from tfchain.jobs.lifecycle.steps.triggering import days_since, read_lines, run_trigger
from tfchain.jobs.preparation_plan import read_preparation
from tfchain.training.losses.cosent import CoSENT

ALL = (
    "prepare: {source: documents.jsonl}\nfeedback: {query_log: log}\n"
    "trigger: {new_pairs: 2, every_days: 7, drift: {}}\n"
    "compress: {recipes: [{quantize: {precision: int8}}]}\nevaluate: {dataset: judged}\ngate: {}\ncanary: {}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "judged").mkdir()
    for name in ("documents.jsonl", "pairs.jsonl"):
        (tmp_path / name).write_text('{"id": "a", "text": "the cat"}\n')
    return tmp_path


def make_plan(folder: Path, text: str = "") -> LifecyclePlan:
    path = folder / "life.yaml"
    path.write_text(f"base_path: versions\ntrain: {{dataset: pairs.jsonl}}\n{text}")
    return read_lifecycle(path)


def make_run(folder: Path, name: str, *, last: dict[str, Result] | None = None, **results: Result) -> StepRun:
    (folder / "work").mkdir(exist_ok=True)
    return StepRun(
        name=name,
        cycle=1,
        folder=folder / "work",
        settings={},
        inputs={},
        results=results,
        last_result=lambda step: (last or {}).get(step),
    )


def write_version(folder: Path, number: int, fingerprint: str = "") -> Path:
    path = folder / "versions" / str(number)
    (path / "assets.extra").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"a graph")
    (path / "assets.extra" / "tfchain.json").write_text(json.dumps({"fingerprint": fingerprint}))
    return path


def test_drift_of_a_task_without_texts_is_refused_before_the_first_training(folder: Path) -> None:
    plan = make_plan(folder, "task: recommendation\ntrigger: {every_days: 7, drift: {}}\nexport: {top_k: 3}\n")
    with pytest.raises(InputError, match="in texts. A recommendation is asked .* Take `drift` out of the section"):
        run_training(plan, make_run(folder, "train"))


def test_the_graph_has_a_step_for_each_section_and_those_that_are_always_there(folder: Path) -> None:
    needs = {step.name: step.needs for step in make_steps(make_plan(folder, ALL))}

    assert needs == {
        "prepare": (),
        "feedback": (),
        "trigger": ("prepare", "feedback"),
        "train": ("prepare", "feedback", "trigger"),
        "compress": ("train",),
        "evaluate": ("compress", "feedback"),
        "export": ("compress", "prepare", "evaluate"),
        "gate": ("export",),
        "canary": ("export", "gate"),
        "promote": ("export", "gate", "canary"),
        "report": tuple(name for name in needs if name != "report"),
    }
    assert [step.name for step in make_steps(make_plan(folder))] == ["train", "export", "promote", "report"]


def test_a_first_model_new_pairs_and_age_ask_for_a_training(folder: Path) -> None:
    plan = make_plan(folder, "feedback: {query_log: log}\ntrigger: {new_pairs: 2, every_days: 7}\n")
    no_drift = lambda plan: (False, {})  # noqa: E731
    first = run_trigger(plan, make_run(folder, "trigger"), no_drift)
    assert (first.stop, first.facts["reasons"]) == (None, ["there is no model yet"])

    old, new = folder / "old.jsonl", folder / "new.jsonl"
    old.write_text("a\nb\n")
    trained = Result(values={"pairs": str(old)}, facts={"at": datetime.datetime.now(datetime.UTC).isoformat()})

    def ask(lines: str, last: Result) -> Result:
        new.write_text(lines)
        feedback = Result(paths={"pairs": new}, values={"num_pairs": 3})
        return run_trigger(plan, make_run(folder, "trigger", last={"train": last}, feedback=feedback), no_drift)

    assert ask("a\nb\nc\n", trained).stop == "nothing asks for another training"
    assert ask("a\nc\nd\n", trained).facts["reasons"] == ["2 new pairs from feedback"]
    week = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=8)).isoformat()
    aged = Result(values={"pairs": str(old)}, facts={"at": week})
    assert ask("a\nb\n", aged).facts["reasons"] == ["the last training is 7 days old or more"]


def test_a_clock_that_went_back_does_not_hold_the_schedule_up() -> None:
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    assert days_since(ahead.isoformat()) is None
    assert days_since(None) is None


def test_a_metric_below_what_the_file_wants_is_named() -> None:
    metrics = {"ndcg@10": 0.4, "mae": 2.0}
    assert find_lower({"mae"}, metrics, {"ndcg@10": 0.4, "mae": 2.0}) is None
    assert find_lower({"mae"}, metrics, {"ndcg@10": 0.5}) == "ndcg@10 is 0.4000; the file wants at least 0.5"
    assert find_lower({"mae"}, metrics, {"mae": 1.5}) == "mae is 2.0000; the file wants at most 1.5"
    with pytest.raises(InputError, match="`evaluate.least` must name measured metrics. Received: mrr@10"):
        find_lower(set(), metrics, {"mrr@10": 0.5})


def test_what_was_evaluated_on_the_same_data_is_not_evaluated_again() -> None:
    metrics = {"new": {"dataset": {"m": 1.0}, "feedback": {"m": 2.0}}, "live": {"dataset": {"m": 3.0}}}
    last = Result(
        values={"metrics": metrics, "chains": {"new": "/a", "live": "/b"}, "data": {"dataset": "x", "feedback": "y"}}
    )
    assert find_known(last, {"dataset": "x", "feedback": "z"}) == {
        ("/a", "dataset"): {"m": 1.0},
        ("/b", "dataset"): {"m": 3.0},
    }
    assert find_known(None, {"dataset": "x"}) == {}


def test_a_version_is_not_exported_again_because_another_one_is_live_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "tfchain.jobs.lifecycle.steps.evaluation"
    chain = SimpleNamespace(evaluate=lambda *_, **__: {"ndcg@10": 0.5})
    monkeypatch.setattr(f"{module}.load_chain", lambda plan, path: chain)
    plan = make_plan(folder, "evaluate: {dataset: judged}\n")
    trained = Result(paths={"chain": folder / "judged"}).with_fingerprint()
    export = next(step for step in make_steps(plan) if step.name == "export")

    def key() -> str:
        result = run_evaluate(plan, make_run(folder, "evaluate", train=trained)).with_fingerprint()
        return export.own_key({"train": trained, "evaluate": result})

    first = key()
    monkeypatch.setattr(f"{module}.read_live", lambda plan: LiveModel(version=1, chain="live", cycle=1))
    assert key() == first


def test_pairs_from_feedback_join_the_dataset_as_the_task_reads_it(tmp_path: Path) -> None:
    base, more = tmp_path / "base.jsonl", tmp_path / "more.jsonl"
    base.write_text('{"text": "a", "label": "x"}\n')
    more.write_text('{"text": "b", "label": "y"}\n')
    search, classification = SimpleNamespace(name="search"), SimpleNamespace(name="classification")

    assert join_datasets(search, base, more) == {"base": base, "feedback": more}
    assert join_datasets(classification, base, more) == [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    assert join_datasets(search, base, None) == base
    assert join_datasets(search, None, more) == more
    with pytest.raises(InputError, match="There is nothing to train on"):
        join_datasets(search, None, None)


def test_a_task_has_losses_of_its_own(folder: Path) -> None:
    plan = make_plan(folder)

    def read(task: str, loss: str) -> Any:
        changed = dataclasses.replace(plan, task=task, train=dataclasses.replace(plan.train, loss=loss))
        return make_options(changed, make_run(folder, "train")).loss

    assert isinstance(read("search", "cosent"), CoSENT)
    assert read("image_search", "sigmoid") == "sigmoid"  # which no search has


def test_feedback_on_labels_becomes_rows_and_a_correction_wins() -> None:
    queries = [SimpleNamespace(query_id=name, text=f"text {name}", labels=("card",)) for name in "abc"]
    events = [
        SimpleNamespace(query_id="a", action="thumbs_up", object_id=""),
        SimpleNamespace(query_id="b", action="correction", object_id="loan"),
        SimpleNamespace(query_id="b", action="thumbs_up", object_id=""),
        SimpleNamespace(query_id="z", action="thumbs_up", object_id=""),
    ]
    assert make_labelled(queries, events) == [
        {"text": "text a", "label": "card"},
        {"text": "text b", "label": "loan"},
    ]


def test_a_version_that_a_killed_export_wrote_is_found(folder: Path) -> None:
    write_version(folder, 1, "same")
    written = write_version(folder, 2, "same")
    base_path = folder / "versions"
    assert find_written(base_path, 1, "same") == written
    assert find_written(base_path, 1, "another") is None
    assert find_written(base_path, 2, "same") is None
    assert find_written(folder / "nothing", 0, "same") is None


def test_what_serves_already_stays_live_while_a_new_version_is_tried(folder: Path) -> None:
    plan = make_plan(folder)
    keep_live(plan)  # there are no versions yet
    write_version(folder, 3)
    keep_live(plan)
    assert read_state(plan.base_path).live == 3
    write_version(folder, 4)
    keep_live(plan)
    assert read_state(plan.base_path).live == 3


def test_a_canary_that_does_badly_is_rolled_back(folder: Path) -> None:
    plan = make_plan(folder)
    write_version(folder, 1)
    write_version(folder, 2)
    promote(plan.base_path, 1, needs_blessing=False)
    start_canary(plan.base_path, 2, needs_blessing=False)
    bad = Result(values={"healthy": False, "reason": "Expected answers are missing."})
    run = make_run(folder, "promote", export=Result(values={"number": 2}), canary=bad)

    result = run_promote(plan, run)

    assert result.stop == "version 2 was rolled back: Expected answers are missing."
    assert (read_state(plan.base_path).live, read_state(plan.base_path).canary) == (1, None)
    assert run_promote(plan, run).stop == result.stop  # killed before its record, it comes to the same


def test_a_version_that_was_taken_back_is_not_tried_again_by_itself(folder: Path) -> None:
    plan = make_plan(folder, ALL)
    write_version(folder, 1)
    write_version(folder, 2)
    promote(plan.base_path, 1, needs_blessing=False)
    start_canary(plan.base_path, 2, needs_blessing=False)
    rollback(plan.base_path, reason="Expected answers are missing.")
    exported = Result(values={"number": 2}, paths={"version": plan.base_path / "2"})

    tried = run_canary(plan, make_run(folder, "canary", export=exported))  # the next cycle's
    result = run_promote(plan, make_run(folder, "promote", export=exported, canary=tried))

    assert tried.values["healthy"] is False
    assert result.stop is not None
    assert result.stop.startswith("version 2 was taken back at 20")
    assert "(Expected answers are missing.), and nothing that it is made of has changed since." in result.stop
    plan = make_plan(folder)  # without gate and canary
    assert run_promote(plan, make_run(folder, "promote", export=exported)).stop == result.stop
    assert (read_state(plan.base_path).live, read_state(plan.base_path).canary) == (1, None)

    promote(plan.base_path, 2, needs_blessing=False)  # a person knows better
    assert run_promote(plan, make_run(folder, "promote", export=exported)).values == {"live": 2}


def test_a_version_goes_live_with_the_folder_of_its_model(folder: Path) -> None:
    plan = make_plan(folder)
    write_version(folder, 1)
    chain = folder / "work" / "chain"
    chain.mkdir(parents=True)
    (chain / "chain.json").write_text("{}")
    trained = Result(paths={"chain": chain}, values={"pairs": None})
    run = make_run(folder, "promote", export=Result(values={"number": 1}), train=trained)

    assert run_promote(plan, run).values == {"live": 1}
    assert read_live(plan) == LiveModel(version=1, chain=str(chain), cycle=1)
    assert run_promote(plan, run).facts == {"was_live": True}

    write_version(folder, 2)
    promote(plan.base_path, 2, needs_blessing=False)  # by somebody else
    assert read_live(plan) is None


def test_a_missing_result_is_named(folder: Path) -> None:
    with pytest.raises(StepFailure, match="The step gate needs `version` of the step export. Received: nothing"):
        make_run(folder, "gate").path_of("export", "version")


def test_a_killed_canary_goes_on_with_what_is_left_of_its_time(folder: Path) -> None:
    run = make_run(folder, "canary")
    assert seconds_left(run, 60) == pytest.approx(60, abs=1)
    mark = folder / "work" / "started.json"
    began = json.loads(mark.read_text())["started"]
    mark.write_text(json.dumps({"cycle": 1, "started": began - 45}))
    assert seconds_left(run, 60) == pytest.approx(15, abs=1)
    mark.write_text(json.dumps({"cycle": 1, "started": began + 9999}))  # the clock went back
    assert seconds_left(run, 60) == 60


def test_the_gate_asks_again_for_another_split_another_place_or_a_report_that_has_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(text: str, base_path: str = "versions") -> str:
        plan = dataclasses.replace(make_plan(folder, text), base_path=folder / base_path)
        return next(step for step in make_steps(plan) if step.name == "gate").own_key({})

    first = key("evaluate: {dataset: judged}\ngate: {}\n")
    assert key("evaluate: {dataset: judged, split: dev}\ngate: {}\n") != first
    assert key("evaluate: {dataset: judged}\ngate: {}\n", "elsewhere") != first

    version = write_version(folder, 1)
    blessing = version / "blessing.json"

    def release(*_: Any, **__: Any) -> Any:
        blessing.write_text("{}")
        return SimpleNamespace(checks=(), passed=True, refusals=())

    monkeypatch.setattr("tfchain.chains.releasing.release_version", release)
    exported = Result(paths={"version": version}, values={"number": 1})
    result = run_gate(make_plan(folder, "gate: {}\n"), make_run(folder, "gate", export=exported)).with_fingerprint()
    record = Record(step="gate", cycle=1, status="done", key="k", result=result)
    assert is_current(record, "k")
    blessing.unlink()
    assert not is_current(record, "k")


def test_a_version_that_is_tried_out_again_has_all_of_its_time(folder: Path) -> None:
    run = make_run(folder, "canary")
    (folder / "work" / "started.json").write_text(json.dumps({"cycle": 1, "started": 0}))
    assert seconds_left(run, 60) == 0
    assert seconds_left(dataclasses.replace(run, cycle=2), 60) == pytest.approx(60, abs=1)


def test_a_set_that_was_written_whole_is_kept(folder: Path) -> None:
    path = folder / "prepare.yaml"
    path.write_text("source: documents.jsonl\noutput: set\nnum_workers: 1\n")
    first = run_prepare(read_preparation(path))
    assert first.facts == {"read": 1, "written": 1}
    again = run_prepare(read_preparation(path))
    assert (again.fingerprint, again.facts) == (first.fingerprint, {})


def test_the_report_has_the_steps_in_the_order_in_which_they_run(folder: Path) -> None:
    plan = make_plan(folder, "trigger: {every_days: 7}\n")
    state = StateFolder(plan.folder)
    for name in ("train", "trigger", "export"):
        state.write_record(Record(step=name, cycle=1, status="done"))
    report = next(step for step in make_steps(plan) if step.name == "report")
    page = report.run(make_run(folder, "report")).paths["page"].read_text()
    assert page.index("<td>trigger") < page.index("<td>train") < page.index("<td>export")


def test_the_report_is_a_page_without_script_and_with_masked_marks() -> None:
    records: dict[str, Any] = {
        "train": Record(step="train", cycle=1, status="done", seconds=3.5, cost=0.25, attempts=2),
        "gate": Record(
            step="gate", cycle=1, status="done", seconds=0.5, cost=0.05, result=Result(stop="<script> is worse")
        ),
    }
    page = make_page("A & B", 1, records)
    assert "A &amp; B, cycle 1" in page
    assert "gate: &lt;script&gt; is worse. 4.0 seconds of work, cost 0.3." in page
    assert "<script" not in page
    assert describe_outcome({}) == "done"
    live = Record(step="promote", cycle=1, status="done", result=Result(values={"live": 4}))
    assert describe_outcome({"promote": live}) == "version 4 is live"


def test_the_live_model_is_kept_for_the_next_cycles(folder: Path) -> None:
    plan = make_plan(folder)
    write_live(plan, LiveModel(version=1, chain="/models/chain", cycle=1, pairs="/models/pairs.jsonl"))
    pins = json.loads((plan.folder / "pins" / "live.json").read_text())
    assert pins == {"paths": ["/models/chain", "/models/pairs.jsonl"]}


def test_line_separators_within_a_text_make_no_pairs(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "one\u2028two\x85three"}\n{"query": "four"}\n', encoding="utf-8")
    assert (count_lines(pairs), len(read_lines(pairs))) == (2, 2)
