"""The step `trigger`: whether drift, new feedback or the schedule ask for another training."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import read_live

DAY_SECONDS = 86_400.0


def make_trigger_step(
    plan: LifecyclePlan, needs: tuple[str, ...], find_drift: Callable[[LifecyclePlan], tuple[bool, dict[str, Any]]]
) -> Step:
    """Makes the step from the section `trigger`.

    Args:
        plan: The plan.
        needs: The steps before it.
        find_drift: Says whether the queries have drifted, with figures.
    """
    return Step(
        name="trigger",
        run=lambda step: run_trigger(plan, step, find_drift),
        needs=needs,
        settings=plan.sections["trigger"],
        when="always",
        approve="trigger" in plan.approve,
    )


def run_trigger(
    plan: LifecyclePlan, step: StepRun, find_drift: Callable[[LifecyclePlan], tuple[bool, dict[str, Any]]]
) -> Result:
    """Asks each condition of the section; one that holds is enough."""
    section = plan.sections["trigger"]
    reasons: list[str] = []
    facts: dict[str, Any] = {}
    last = step.last_result(plan.training_step)
    if last is None:
        reasons.append("there is no model yet")
    if "new_pairs" in section:
        facts["new_pairs"] = count_new_pairs(step, last)
        if facts["new_pairs"] >= section["new_pairs"]:
            reasons.append(f"{facts['new_pairs']} new pairs from feedback")
    if "every_days" in section and last is not None:
        facts["days"] = days_since(last.facts.get("at"))
        if facts["days"] is None or facts["days"] >= section["every_days"]:
            reasons.append(f"the last training is {section['every_days']:g} days old or more")
    if "drift" in section and read_live(plan) is not None:
        has_drifted, facts["drift"] = find_drift(plan)
        if has_drifted:
            reasons.append("the queries have drifted")
    facts["reasons"] = reasons
    return Result(facts=facts, stop=None if reasons else "nothing asks for another training", fingerprint="")


def count_new_pairs(step: StepRun, last: Result | None) -> int:
    """Counts the pairs from feedback that the last training did not have."""
    feedback = step.results.get("feedback")
    if feedback is None or "pairs" not in feedback.paths:
        return 0
    before = None if last is None else last.values.get("pairs")
    return len(read_lines(feedback.paths["pairs"]) - (read_lines(Path(before)) if before else set()))


def read_lines(path: Path) -> set[str]:
    """Reads the lines of a file; a file that has gone has none."""
    return set(path.read_text(encoding="utf-8").rstrip("\n").split("\n")) - {""} if path.is_file() else set()


def days_since(at: Any) -> float | None:
    """Returns the days since a time; None if there is none, or it lies ahead because a clock went back."""
    if not isinstance(at, str):
        return None
    days = (time.time() - datetime.fromisoformat(at).timestamp()) / DAY_SECONDS
    return days if days >= 0 else None
