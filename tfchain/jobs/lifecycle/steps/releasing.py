"""The steps `gate` and `promote`: whether a version may go live, and its way there or back."""

from pathlib import Path
from typing import Any

from tfchain.jobs.lifecycle.fingerprints import hash_value
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.section_limits import GATE
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import LiveModel, load_chain, write_live
from tfchain.jobs.lifecycle.steps.evaluation import candidate_step


def make_gate_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `gate`."""
    dataset, split = find_gate_data(plan)
    settings = {name: value for name, value in plan.sections["gate"].items() if name != "dataset"}
    return Step(
        name="gate",
        run=lambda step: run_gate(plan, step),
        needs=("export",),
        settings={**settings, "split": split, "base_path": str(plan.base_path)},
        inputs={} if dataset is None else {"dataset": dataset},
        state=lambda: find_live_number(plan),
        approve="gate" in plan.approve,
    )


def find_gate_data(plan: LifecyclePlan) -> tuple[Path | None, str]:
    """Returns the gate's evaluation set and its split: its own, or that of the section `evaluate`."""
    gate, evaluate = plan.sections["gate"], plan.sections.get("evaluate", {})
    source = gate if "dataset" in gate else evaluate
    return source.get("dataset"), gate.get("split", source.get("split", "test"))


def find_live_number(plan: LifecyclePlan) -> int | None:
    """Returns the number of the live version; None if there is none."""
    from tfchain.deployment.release_state import find_live

    return find_live(plan.base_path) if plan.base_path.is_dir() else None


def run_gate(plan: LifecyclePlan, step: StepRun) -> Result:
    """Checks the version beside the live one; the report stays in the version's folder."""
    from tfchain.chains.releasing import release_version
    from tfchain.deployment.release_state import read_state
    from tfchain.deployment.releases.limits import ReleaseLimits
    from tfchain.deployment.releases.report import BLESSING

    exported = step.results["export"]
    version, number = exported.paths["version"], exported.values["number"]
    if read_state(plan.base_path).live == number:
        return Result(values={"passed": True}, facts={"message": f"version {number} is live already"})
    section = plan.sections["gate"]
    dataset, split = find_gate_data(plan)
    given: dict[str, Any] = {}
    if dataset is not None and ":" in plan.task:  # a task of the user's own: only its chain knows it
        chain = load_chain(plan, step.path_of(candidate_step(plan), "chain"))
        given = {"task": chain.task, "state": chain.state}
    report = release_version(
        version,
        dataset,
        split=split,
        metric=section.get("metric"),
        limits=ReleaseLimits(**{name: section[name] for name in GATE if name in section}),
        **given,
    )
    facts = {check.name: f"{check.outcome}: {check.message}" for check in report.checks}
    return Result(
        paths={"report": version / BLESSING},  # without it the version cannot go live, and the gate runs again
        values={"passed": report.passed},
        facts=facts,
        stop=None if report.passed else " ".join(report.refusals),
        fingerprint=hash_value(report.passed),
    )


def find_rollback(plan: LifecyclePlan, number: int) -> str | None:
    """Returns why a version is not put up again: it was taken back, and is what it was; None if it was not."""
    from tfchain.deployment.release_state import find_taken_back, read_state

    event = find_taken_back(read_state(plan.base_path)).get(number)
    if event is None:
        return None
    why = f" ({event.reason})" if event.reason else ""
    return (
        f"version {number} was taken back at {event.at}{why}, and nothing that it is made of has changed since. Change "
        f"data or settings, or put it up by hand: tfchain promote {plan.base_path} {number}"
    )


def make_promote_step(plan: LifecyclePlan) -> Step:
    """Makes the step; the section `promote` is optional."""
    needs = ("export", *(name for name in ("gate", "canary") if name in plan.sections))
    return Step(
        name="promote",
        run=lambda step: run_promote(plan, step),
        needs=needs,
        settings=plan.sections.get("promote", {}),
        when="always",
        approve="promote" in plan.approve,
    )


def run_promote(plan: LifecyclePlan, step: StepRun) -> Result:
    """Makes the version live, or takes a canary back that did not do well."""
    from tfchain.deployment.release_state import read_state
    from tfchain.deployment.releases.switch import promote, rollback

    number = step.results["export"].values["number"]
    canary = step.results.get("canary")
    earlier = find_rollback(plan, number) if canary is None else None
    if earlier is not None:
        return Result(values={"rolled_back": number}, stop=earlier)
    if canary is not None and not canary.values["healthy"]:
        reason = str(canary.values["reason"])
        if not canary.values.get("tried", True):
            return Result(values={"rolled_back": number}, stop=reason)
        if read_state(plan.base_path).canary == number:
            rollback(plan.base_path, reason=reason)
        return Result(values={"rolled_back": number}, stop=f"version {number} was rolled back: {reason}")
    was_live = read_state(plan.base_path).live == number
    promote(plan.base_path, number, reason=f"life cycle, cycle {step.cycle}", needs_blessing="gate" in plan.sections)
    if not was_live:
        write_live(plan, describe_model(plan, step, number))
    return Result(values={"live": number}, facts={"was_live": was_live})


def describe_model(plan: LifecyclePlan, step: StepRun, number: int) -> LiveModel:
    """Describes the model that goes live."""
    chain = step.path_of(candidate_step(plan), "chain")
    pairs = step.results[plan.training_step].values.get("pairs")
    return LiveModel(version=number, chain=str(chain), cycle=step.cycle, pairs=pairs)
